"""Train and evaluate a model: ``python run_recbole_darec.py --model=DaRec --dataset=ml-100k``."""

import sys

from recbole_darec.cli import main

if __name__ == "__main__":
    sys.exit(main())
