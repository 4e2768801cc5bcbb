package metrics

import "sync"

// words are what the logger is told once no lock is held: its handler may count what it
// handles in these very metrics.
type words struct {
	mu      sync.Mutex
	waiting []func()
}

// later keeps what there is to say. A lock of the registry or of an instrument is held.
func (w *words) later(say func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting = append(w.waiting, say)
}

// tell says what waits. Whoever may have called later defers it before it locks.
func (w *words) tell() {
	w.mu.Lock()
	waiting := w.waiting
	w.waiting = nil
	w.mu.Unlock()
	for _, say := range waiting {
		say()
	}
}
