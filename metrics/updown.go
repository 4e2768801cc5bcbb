package metrics

import "sync/atomic"

// upDown is one series of an UpDownCounter.
type upDown struct {
	n atomic.Int64
	s *series
}

// goneUpDown is the mark of a freed upDown: what is added to it is found by a
// sum that no upDown comes to.
const (
	goneUpDown = 1 << 62
	farUpDown  = 1 << 61
)

func (c *upDown) Inc() { c.Add(1) }
func (c *upDown) Dec() { c.Add(-1) }

func (c *upDown) Add(delta int64) {
	if delta >= farUpDown || delta <= -farUpDown {
		c.s.invalid()
		return
	}
	if c.n.Add(delta) >= farUpDown {
		c.revive(delta)
	}
}

// revive finds where the delta belongs that was added to a freed upDown.
func (c *upDown) revive(delta int64) {
	f := c.s.family
	defer f.registry.words.tell()
	f.mu.Lock()
	other := c.s.back()
	if other != nil {
		c.n.Add(-delta)
	}
	f.mu.Unlock()
	if other != nil {
		other.upDown.Add(delta)
	}
}

type noUpDown struct{ nothing }

func (noUpDown) Dec()      {}
func (noUpDown) Add(int64) {}

func asUpDown(s *series) UpDownCounter { return s.upDown }

func (s *scope) UpDownCounter(name string, opts ...InstrumentOption) UpDownCounter {
	return s.UpDownCounterVec(name, nil, opts...).With()
}

func (s *scope) UpDownCounterVec(name string, keys []string, opts ...InstrumentOption) *Vec[UpDownCounter] {
	return vecOf[UpDownCounter](s, name, KindUpDownCounter, keys, opts, asUpDown, noUpDown{})
}
