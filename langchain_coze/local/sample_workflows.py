"""The workflows that a server has when it is given neither bots nor workflows."""

from langchain_coze.local.knowledge_workflows import knowledge_workflow
from langchain_coze.local.samples import sample_knowledge
from langchain_coze.local.workflows import LocalWorkflow

__all__ = ["sample_workflows"]


def sample_workflows() -> tuple[LocalWorkflow, ...]:
    """The built-in workflows.

    Example:
        >>> [workflow.name for workflow in sample_workflows()]
        ['search_knowledge']
    """
    search = knowledge_workflow(
        sample_knowledge(),
        name="search_knowledge",
        description="Searches a few built-in documents on Coze and LangChain",
    )
    return (search,)
