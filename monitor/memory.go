package monitor

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Reports are what the monitors of one process publish to each other: for
// tests, for examples, and for programs that hold several services.
type Reports struct {
	mu      sync.Mutex
	newest  map[string]held // by instance
	version uint64
	changed chan struct{} // closed and replaced at each report
}

type held struct {
	report  Report
	version uint64
	expires time.Time
}

// NewReports returns Reports without any.
func NewReports() *Reports {
	return &Reports{newest: map[string]held{}, changed: make(chan struct{})}
}

// Memory makes a Monitor publish to, and follow, Reports that others use too.
func Memory(m *Reports) Option {
	if m == nil {
		return func(*options) error { return errors.New("nil memory") }
	}
	return WithDriver("memory", func(context.Context) (Driver, error) { return m.Driver(), nil })
}

// Driver returns the driver of Memory, to be wrapped: by a test that cuts
// an instance off, for instance.
func (m *Reports) Driver() Driver { return memoryDriver{m} }

type memoryDriver struct{ *Reports }

func (m memoryDriver) Publish(ctx context.Context, r Report) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.version++
	m.newest[r.Status.Instance.ID] = held{r, m.version, time.Now().Add(r.TTL)}
	close(m.changed)
	m.changed = make(chan struct{})
	return nil
}

func (m memoryDriver) Watch(ctx context.Context, f func(Report)) error {
	for seen := uint64(0); ; {
		m.mu.Lock()
		var fresh []Report
		for id, h := range m.newest {
			switch {
			case time.Now().After(h.expires):
				delete(m.newest, id)
			case h.version > seen:
				fresh = append(fresh, h.report)
			}
		}
		seen = m.version
		changed := m.changed
		m.mu.Unlock()
		for _, r := range fresh {
			f(r)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

func (memoryDriver) Ping(context.Context) error { return nil }
func (memoryDriver) Close() error               { return nil }
