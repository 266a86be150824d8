from finished_runs import copied, finished  # noqa: F401
