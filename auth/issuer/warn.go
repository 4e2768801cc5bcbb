package issuer

import (
	"sync"
	"time"
)

// warnings bounds what strangers can write into the log: ten lines at once and
// one a second after that. What is left out is counted.
type warnings struct {
	mu      sync.Mutex
	spent   float64
	last    time.Time
	dropped int
}

const warnBurst = 10

func (w *warnings) allow(now time.Time) (ok bool, dropped int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.spent = max(0, w.spent-max(0, now.Sub(w.last).Seconds()))
	w.last = now
	if w.spent > warnBurst-1 {
		w.dropped++
		return false, 0
	}
	w.spent++
	dropped, w.dropped = w.dropped, 0
	return true, dropped
}

// warn logs what a stranger caused.
func (i *Issuer) warn(message string, args ...any) {
	ok, dropped := i.warnings.allow(i.now())
	if !ok {
		return
	}
	if dropped > 0 {
		args = append(args, "left_out", dropped)
	}
	i.log.Warn(message, args...)
}
