"""What is run, beside what, and what is hoped for."""

from dataclasses import dataclass, replace

from tests.benchmarks.jobs import Job

RAW, NAIVE, COZE = "raw httpx", "naive model", "ChatCoze"
RETRIEVER = "CozeRecallRetriever"
SITE, RAW_SITE = "ChatCozeSite", "raw httpx, coze.site"
COZE_AIO, SITE_AIO = "ChatCoze, aiohttp", "ChatCozeSite, aiohttp"
RAW_AIO = "aiohttp, nothing parsed"
UNPARSED = "raw httpx in LangChain"
UNPARSED_AIO = "aiohttp in LangChain"
OPENAI, MISTRAL, SDK = "ChatOpenAI", "ChatMistralAI", "cozepy"
EVERYONE = (COZE, RAW, SDK, NAIVE, MISTRAL, OPENAI)
EVERYONE_ASYNC = (COZE, COZE_AIO, RAW, RAW_AIO, SDK, NAIVE, MISTRAL, OPENAI)


@dataclass(frozen=True)
class Cell:
    """One line of a scenario: a client and its job.

    `fresh` gives every sample a process of its own; `rounds` bounds how often a dear cell runs.
    """

    key: str
    client: str
    job: Job
    fresh: bool = False
    rounds: int = 1000


@dataclass(frozen=True)
class Goal:
    """`figure` of cell `top`, over that of `bottom` unless empty, is at most `limit`."""

    text: str
    limit: float
    top: str = COZE
    bottom: str = ""
    figure: str = "us"
    unit: str = ""


@dataclass(frozen=True)
class Scenario:
    """Cells that are run in turn, round after round."""

    name: str
    title: str
    unit: str
    cells: tuple[Cell, ...]
    goals: tuple[Goal, ...]
    rounds: int
    bases: tuple[str, ...] = (RAW, OPENAI, MISTRAL)
    extra: tuple[str, ...] = ()
    scale: float = 1.0

    @property
    def fresh(self) -> bool:
        """Tell whether its samples run in processes of their own."""
        return any(cell.fresh for cell in self.cells)


def _beside(job: Job, clients: tuple[str, ...] = EVERYONE) -> tuple[Cell, ...]:
    return tuple(Cell(client, client, job) for client in clients)


def _against(text: str, top: str = COZE, **limits: float) -> tuple[Goal, ...]:
    """Return one goal per peer, named raw, naive, openai or mistral."""
    peers = {"raw": RAW, "naive": NAIVE, "openai": OPENAI, "mistral": MISTRAL}
    return tuple(Goal(text, limit, top, peers[peer]) for peer, limit in limits.items())


def _with_aiohttp(text: str, **limits: float) -> tuple[Goal, ...]:
    return _against(f"{text}, on aiohttp", COZE_AIO, **limits)


def _per_delta(deltas: int, paced: int) -> list[Scenario]:
    burst = Job("stream", deltas=deltas)
    waking = Job("stream", mode="paced", deltas=paced)
    size = f"answer of {deltas:,} deltas"
    wakes = f"one of {paced:,} deltas per wake-up"
    return [
        Scenario(
            "stream-burst",
            f"`stream()`, burst, {size}",
            "CPU µs per delta",
            _beside(burst),
            _against("`stream()`, burst", openai=0.15, mistral=0.60, raw=2.2),
            rounds=11,
        ),
        Scenario(
            "astream-burst",
            f"`astream()`, burst, {size}",
            "CPU µs per delta",
            _beside(replace(burst, kind="astream"), EVERYONE_ASYNC),
            (
                *_against("`astream()`, burst", openai=0.13, mistral=0.60, raw=2.2),
                *_with_aiohttp("`astream()`, burst", raw=0.55),
            ),
            rounds=11,
        ),
        Scenario(
            "stream-paced",
            f"`stream()`, {wakes}",
            "CPU µs per delta",
            _beside(waking, (*EVERYONE, UNPARSED)),
            _against("`stream()`, one delta per wake-up", openai=0.28, raw=1.35),
            rounds=7,
        ),
        Scenario(
            "astream-paced",
            f"`astream()`, {wakes}",
            "CPU µs per delta",
            _beside(replace(waking, kind="astream"), (*EVERYONE_ASYNC, UNPARSED)),
            (
                *_against("`astream()`, one delta per wake-up", openai=0.45, raw=1.3),
                *_with_aiohttp("`astream()`, one delta per wake-up", raw=0.75, openai=0.27),
            ),
            rounds=7,
        ),
    ]


def _site(deltas: int, paced: int) -> list[Scenario]:
    """Build the scenarios of an agent at coze.site: the same answers, framed in another way."""
    burst = Job("stream", deltas=deltas)
    waking = Job("stream", mode="paced", deltas=paced)
    clients = {"stream": (SITE, RAW_SITE, OPENAI), "astream": (SITE, SITE_AIO, RAW_SITE, OPENAI)}
    return [
        Scenario(
            f"site-{kind}-{pace}",
            f"`ChatCozeSite.{kind}()`, {told}",
            "CPU µs per frame",
            _beside(replace(job, kind=kind), clients[kind]),
            tuple(
                Goal(f"`ChatCozeSite.{kind}()`, {short}", limit, top=SITE, bottom=peer)
                for limit, peer in ((of_raw, RAW_SITE), (of_openai, OPENAI))
            ),
            rounds=7,
            bases=(RAW_SITE, OPENAI),
        )
        for pace, job, told, short, of_raw, of_openai in (
            ("burst", burst, f"burst, answer of {deltas:,} frames", "burst", 2.4, 0.20),
            ("paced", waking, f"one of {paced:,} frames per wake-up", "one per wake-up", 1.5, 0.35),
        )
        for kind in ("stream", "astream")
    ]


def _per_call(deltas: int, calls: int) -> list[Scenario]:
    whole = Job("invoke", deltas=deltas)
    quick = Job("first", deltas=1, repeat=calls)
    clients = (COZE, RAW, NAIVE, MISTRAL, OPENAI)
    aclients = (COZE, COZE_AIO, RAW, RAW_AIO, NAIVE, MISTRAL, OPENAI)
    bases = (RAW, NAIVE, OPENAI)
    return [
        Scenario(
            name,
            f"`{name}()`, answer of {deltas:,} deltas (OpenAI and Mistral: one JSON body)",
            "CPU ms per call",
            _beside(replace(whole, kind=name), each),
            (*_against(f"`{name}()` of {deltas:,} deltas", raw=1.35, naive=0.40), *more),
            rounds=11,
            bases=bases,
            scale=1e-3,
        )
        for name, each, more in (
            ("invoke", clients, ()),
            ("ainvoke", aclients, _with_aiohttp(f"`ainvoke()` of {deltas:,} deltas", raw=0.5)),
        )
    ] + [
        Scenario(
            "first",
            "Call to first delta, sync, warm (raw httpx: first byte)",
            "CPU µs per call",
            _beside(quick, (*EVERYONE, UNPARSED)),
            _against("first delta, sync", raw=1.65, openai=0.45),
            rounds=11,
        ),
        Scenario(
            "afirst",
            "Call to first delta, async, warm (raw httpx: first byte)",
            "CPU µs per call",
            _beside(replace(quick, kind="afirst"), (*EVERYONE_ASYNC, UNPARSED)),
            _against("first delta, async", raw=1.5, openai=0.60),
            rounds=11,
        ),
    ]


def _in_flight(few: int, many: int, calls: int) -> Scenario:
    def cell(client: str, width: int, rounds: int = 1000) -> Cell:
        repeat = calls if width == 1 else 1
        job = Job("together", mode="gate", deltas=10, width=width, repeat=repeat)
        return Cell(f"{client}, {width}", client, job, fresh=True, rounds=rounds)

    def goal(client: str, limit: float, text: str) -> tuple[Goal, Goal]:
        crowd = f"{client}, {many}"
        return (
            Goal(f"{many} in flight{text}, per request", limit, crowd, f"{client}, 1"),
            Goal(f"{many} in flight{text}: how many fail", 0, crowd, figure="failed"),
        )

    return Scenario(
        "in-flight",
        f"`astream()`, requests in flight together: 1, {few}, {many} (10 deltas each)",
        "CPU µs per request",
        (
            *(cell(client, width) for client in (COZE, COZE_AIO) for width in (1, few, many)),
            *(cell(OPENAI, width) for width in (1, few, many)),
            *(cell(client, width) for client in (UNPARSED, UNPARSED_AIO) for width in (1, many)),
            cell(RAW, 1),
            cell(RAW, few, rounds=1),
            cell(NAIVE, many, rounds=1),
        ),
        (*goal(COZE, 1.2, ", default constructor"), *goal(COZE_AIO, 1.0, ", on aiohttp")),
        rounds=3,
        bases=(
            *(f"{client}, 1" for client in (COZE, COZE_AIO, UNPARSED, UNPARSED_AIO)),
            f"{OPENAI}, {many}",
        ),
    )


def _rate(width: int, deltas: int) -> Scenario:
    job = Job("rate", mode="slow", deltas=deltas, width=width)
    text = f"{width:,} streams at 10 deltas/s"
    return Scenario(
        "rate",
        f"{text} on one loop, {deltas} deltas each ({deltas / 10:.0f} s would be perfect)",
        "CPU µs per delta",
        tuple(Cell(client, client, job, fresh=True) for client in (COZE, COZE_AIO, OPENAI)),
        (
            *_against(text, openai=0.40),
            Goal(f"{text}: how many fail", 0, figure="failed"),
            *_with_aiohttp(text, openai=0.23),
            Goal(f"{text}, on aiohttp", deltas / 10 * 1.15, COZE_AIO, figure="wall", unit="s"),
            Goal(f"{text}, on aiohttp: how many fail", 0, COZE_AIO, figure="failed"),
        ),
        rounds=2,
        bases=(OPENAI,),
        extra=("wall",),
    )


def _batch(width: int) -> Scenario:
    job = Job("batch", deltas=50, width=width)
    return Scenario(
        "abatch",
        f"`abatch()` of {width}, answers of 50 deltas (OpenAI and Mistral: one JSON body)",
        "CPU ms per answer",
        (
            Cell(COZE, COZE, job, fresh=True),
            Cell(COZE_AIO, COZE_AIO, job, fresh=True),
            Cell(OPENAI, OPENAI, job, fresh=True),
            Cell(MISTRAL, MISTRAL, job, fresh=True, rounds=1),
        ),
        (
            *_against(f"`abatch()` of {width}", openai=0.65),
            *_with_aiohttp(f"`abatch()` of {width}", openai=0.35),
        ),
        rounds=3,
        bases=(OPENAI,),
        extra=("wall",),
        scale=1e-3,
    )


def _once(models: int, rounds: int) -> list[Scenario]:
    clients = (COZE, MISTRAL, OPENAI)
    build = Job("construct", repeat=models)
    return [
        Scenario(
            "constructor",
            "Constructing a model, from the second on; SSL contexts with 4 calls to https",
            "CPU µs per model",
            tuple(Cell(x, x, build, fresh=True) for x in (*clients, NAIVE)),
            (
                Goal("constructor, from the second on", 60, unit="µs"),
                Goal("SSL contexts made by constructors", 0, figure="contexts made"),
                Goal("SSL contexts in a process", 1, figure="contexts in all"),
            ),
            rounds=rounds,
            bases=(OPENAI,),
            extra=("contexts made", "contexts in all"),
        ),
        Scenario(
            "import",
            "Importing, on top of `langchain_core.language_models.BaseChatModel`",
            "CPU ms",
            tuple(Cell(x, x, Job("import"), fresh=True) for x in clients),
            (
                Goal("import over langchain_core's", 80, unit="ms"),
                Goal("import over langchain_core's", 1, COZE, MISTRAL),
            ),
            rounds=rounds + 2,
            bases=(OPENAI,),
        ),
    ]


def _growth(sizes: tuple[int, int, int]) -> Scenario:
    cells = tuple(
        Cell(f"{size:,} deltas, gc {name}", COZE, Job("stream", deltas=size, repeat=runs, gc=on))
        for name, on in (("off", False), ("on", True))
        for size, runs in zip(sizes, (10, 3, 1), strict=True)
    )
    return Scenario(
        "growth",
        "ChatCoze, `stream()`, burst, answers of growing length",
        "CPU µs per delta",
        cells,
        tuple(
            Goal(f"growth, gc {name}", limit, top=cells[base + 2].key, bottom=cells[base + 1].key)
            for name, limit, base in (("off", 1.1, 0), ("on", 1.6, 3))
        ),
        rounds=7,
        bases=(),
    )


def _recall(holds: tuple[float, float, float], calls: int) -> Scenario:
    """Build the retriever's scenario; `holds` are the seconds for which an answer is held back."""
    kinds = ("recall", "arecall")

    def job(kind: str, hold: float, mode: str = "recall", repeat: int = calls) -> Job:
        return Job(kind, mode=mode, deltas=10, width=round(hold * 1000), repeat=repeat)

    def cell(client: str, named: str, work: Job) -> Cell:
        suffix = ", async" if work.kind == "arecall" else ""
        return Cell(", ".join(filter(None, (client, named))) + suffix, client, work)

    left = [cell(RETRIEVER, f"{x:g} s", job(kind, x)) for kind in kinds for x in holds]
    still = [
        cell(RETRIEVER, f"{x:g} s of silence", job(kind, x, "silence", max(1, calls // 4)))
        for kind in kinds
        for x in holds
    ]
    raw = [cell(RAW, "", job(kind, holds[-1])) for kind in kinds]
    waited = [Cell(f"{COZE}, {x:g} s", COZE, job("recall", x, repeat=1), rounds=2) for x in holds]

    def soon(cells: list[Cell], limit: float) -> tuple[Goal, ...]:
        text = "recall sent to documents: "
        return tuple(Goal(text + x.key, limit, x.key, figure="after", unit="ms") for x in cells)

    ratios = (
        Goal(
            "documents, sync: the longest answer beside the shortest", 1.3, left[2].key, left[0].key
        ),
        Goal("documents, async: the same", 1.3, left[5].key, left[3].key),
        Goal("documents, sync", 2, left[0].key, raw[0].key),
        Goal("documents, async", 2, left[3].key, raw[1].key),
        *(
            Goal("documents beside the whole answer", 0.02, mine.key, whole.key)
            for mine, whole in zip(left, waited, strict=False)
        ),
    )
    return Scenario(
        "recall",
        "Recalled documents of answers that take as long (raw httpx: up to the recall event;"
        " silence: with the retriever's `recall_grace` of 250 ms)",
        "wall ms per call",
        (*left, *still, *raw, *waited),
        (*soon(left, 2), *soon(still, 260), *ratios),
        rounds=5,
        bases=(raw[0].key, raw[1].key, waited[2].key),
        extra=("after",),
        scale=1e-3,
    )


def all_scenarios(*, quick: bool) -> list[Scenario]:
    """Return every scenario, or a small version of each that only shows that it works."""
    if not quick:
        return [
            *_per_delta(1000, 300),
            *_site(1000, 300),
            *_per_call(1000, 20),
            _growth((100, 1000, 10_000)),
            _recall((1, 5, 20), 8),
            *_once(200, 3),
            _batch(500),
            _in_flight(200, 1000, 100),
            _rate(1000, 100),
        ]
    small = [
        *_per_delta(200, 30),
        *_site(200, 30),
        *_per_call(200, 3),
        _growth((20, 100, 1000)),
        _recall((0.3, 0.6, 1.2), 4),
        *_once(20, 1),
        _batch(50),
        _in_flight(20, 50, 10),
        _rate(50, 10),
    ]
    return [_reduced(scenario) for scenario in small]


def _reduced(scenario: Scenario) -> Scenario:
    """Leave out the cells that are dear even once, and repeat next to nothing."""
    cells = tuple(cell for cell in scenario.cells if cell.rounds > 1)
    return replace(scenario, cells=cells, rounds=1 if scenario.fresh else 2)
