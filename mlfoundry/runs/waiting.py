"""What a run waits for before it goes on: that the store has what was logged to it. Each wait has its bound."""

from __future__ import annotations

from ..shipping import shipper as shippers
from ..shipping.shipment import Shipment
from .uploads import Uploads

AWAY_S = 1.0  # how long an end waits for a backend that was away for as long as an end may wait


def until_stored(shipment: Shipment, uploads: Uploads, target: int, timeout_s: float) -> bool:
    """Wait until the records before slot `target`, and the files that wait now, are stored; return whether they are."""

    def stored() -> bool:
        if shipment.done.is_set():
            return True
        if (shipment.acked or 0) < target or shipment.run is None or uploads.waiting()[0]:
            return False
        return not (files and shipment.trouble)  # of files it is known when the turn that sent them is over

    is_refused_again, files = shipment.refusals(), uploads.waiting()[0]
    if not stored():
        shippers.shipper().wait(
            lambda: stored() or is_refused_again(), timeout_s, backend=shipment.backend, run_id=shipment.new.run_id
        )
    return stored()


def until_ended(shipment: Shipment, timeout_s: float) -> bool:
    """Wait until all of a run that ends is stored or refused; return whether what this process logged is stored."""
    shipper = shippers.shipper()
    is_refused_again = shipment.refusals()

    def stored() -> bool:
        own = [each for each in shipper.adopted(shipment.backend) if each.new.run_id == shipment.new.run_id]
        return (shipment.done.is_set() or is_refused_again()) and all(each.refused for each in own)

    if shipper.away_s(shipment.backend) >= timeout_s:  # it was waited for long enough, by another run perhaps
        timeout_s = min(timeout_s, AWAY_S)
    shipper.wait(stored, timeout_s, backend=shipment.backend, run_id=shipment.new.run_id, sweep=True)
    return shipment.done.is_set()


def until_over(shipment: Shipment, timeout_s: float) -> bool:
    """Wait until all of a run that has ended is stored, so that nothing overtakes it; return whether it is."""
    if not shipment.done.is_set():
        shippers.shipper().wait(shipment.done.is_set, timeout_s, backend=shipment.backend, run_id=shipment.new.run_id)
    return shipment.done.is_set()
