"""Workflows: what they take, how they run, what they tell, and how they ask back."""
