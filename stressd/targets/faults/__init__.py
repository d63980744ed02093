"""The liar: any target, made to do one thing wrong, to see whether that is noticed.

    stressd run smoke --target stressd.targets.faults:Liar --target-option lie=drop_save --target-option at=500

`inner` is the target that it stands before (default `embedded`; a name or `module:factory`), `lie` what it does wrong
(`none` is nothing; `LIES` in `lies.py` has them all). Options that are not listed here are the inner target's; where
one of its options has the name of one listed here, write `inner_NAME`.

Most lies are told now and then, some from a moment on.

    at=N         once in all, at the first call that it can be told in from call N on, counted over all processes;
                 a lie that goes on begins there (default: with the first call)
    rate=SHARE   at this share of the calls that it can be told in (default 0.01)
    seed=N       of all that is drawn (default 0)
    on=save|read whether a changed frame is kept so, or only handed out so once (default read)

    mb_per_s=5                  of `leak`, in each process
    slower_by=0.25 over_s=180   of `slow_down`: calls take a quarter longer after three minutes, and so on
    stall_s=3600                of `stall`
    delay_ms=0                  whatever the lie: what each call takes longer, as if over a network

In its folder (the state folder's `store`, where the daemon runs it) it notes when it was called and what it did, in
`calls` and `told`: how long a lie lived can be seen from them afterwards. Its claims and abilities are the inner
target's.
"""

from stressd.targets.faults.liar import Liar

__all__ = ["Liar"]
