package router

import "time"

// Outcomes are counted in windows of this length, to judge their share.
const windowLength = 10 * time.Second

// window remembers counts of outcomes, to tell what share of the last one to two
// windows' failed.
type window struct {
	start    time.Duration
	all, bad [2]uint64 // counts when the window before, and this one, began
}

// begin forgets what came before.
func (w *window) begin(now time.Duration, all, bad uint64) {
	*w = window{now, [2]uint64{all, all}, [2]uint64{bad, bad}}
}

// share returns the share of failures and the number of outcomes, of which there are
// so many by now.
func (w *window) share(now time.Duration, all, bad uint64) (share float64, n uint64) {
	switch age := now - w.start; {
	case age >= 2*windowLength: // what came since nobody knows when does not count
		w.begin(now, all, bad)
	case age >= windowLength:
		*w = window{w.start + windowLength, [2]uint64{w.all[1], all}, [2]uint64{w.bad[1], bad}}
	}
	n = all - w.all[0]
	if n == 0 {
		return 0, 0
	}
	return float64(bad-w.bad[0]) / float64(n), n
}
