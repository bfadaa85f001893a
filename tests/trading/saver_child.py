"""A market maker whose process is killed while it saves its state; run as ``saver_child.py FOLDER PLACE FILLS``.

Every fill is written to ``fills.jsonl`` as soon as the metrics actor tells of it, before the state is saved. At the
given fill the process kills itself: ``before`` the state file is touched, ``inside`` its replacement, when the new
content is half written, or ``after`` it.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, Self

from nautilus_trader.common import DataActor, DataActorConfig
from nautilus_trader.model import ActorId
from scripting import Watched, make_engine
from test_metrics_actor import BALANCES, three_pairs
from test_strategy_guards import others, restless

from mm_nautilus.config.run import RunConfig
from mm_nautilus.metrics.actor import MetricsActor, MetricsActorConfig
from mm_nautilus.runs import state_file
from mm_nautilus.runs.state_file import Fingerprint, StateFile, StateSaver, fingerprint_of
from mm_nautilus.trading.messages import EVENTS_TOPIC, Fill


def fingerprint() -> Fingerprint:
    """Return the fingerprint of the configuration that is played."""
    venue = {"name": "KRAKEN", "starting_balances": list(BALANCES)}
    return fingerprint_of(
        RunConfig.model_validate({"catalog": "catalog", "venue": venue, "strategy": three_pairs()})
    )


class FillLog(DataActor):
    """Write each fill to a file, and count them."""

    def __new__(cls, _path: Path) -> Self:
        return super().__new__(cls, DataActorConfig(actor_id=ActorId("FILL-LOG-001")))

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.file = path.open("w")
        self.fills = 0

    def on_start(self) -> None:
        self.subscribe_topic(EVENTS_TOPIC, self._note)

    def _note(self, result: Any) -> None:
        if not isinstance(result, Fill):
            return
        self.fills += 1
        fill = {"symbol": result.symbol, "side": result.side, "fee": str(result.fee)}
        fill |= {"price": str(result.price), "quantity": str(result.quantity)}
        self.file.write(json.dumps(fill) + "\n")
        self.file.flush()


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main(folder: Path, place: str, at_fill: int) -> None:
    log = FillLog(folder / "fills.jsonl")
    replace = state_file.replace_file

    def killing(path: Path, content: bytes) -> None:
        if log.fills < at_fill:
            replace(path, content)
            return
        if place == "inside":
            path.with_name(f"{path.name}.tmp").write_bytes(content[: len(content) // 2])
        elif place == "after":
            replace(path, content)
        kill()

    state_file.replace_file = killing
    strategy, metrics = Watched(three_pairs()), MetricsActor(MetricsActorConfig(interval_seconds=1.0))
    file = StateFile.open(folder, "killed", fingerprint())
    engine = make_engine(balances=BALANCES)
    engine.add_actors([metrics, log, StateSaver(file, strategy, metrics)])
    engine.add_strategy(strategy)
    engine.add_data([*restless(11, 250), *others(11, 250)])
    engine.run()
    sys.exit("the script has fewer fills")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
