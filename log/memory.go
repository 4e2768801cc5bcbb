package log

import (
	"bytes"
	"context"
	"sync"

	"github.com/micro/go-platform/internal/fault"
)

// Recorder keeps the newest records. It is safe for concurrent use.
type Recorder struct {
	max int
	enc Encoding

	mu      sync.Mutex
	records [][]byte // a ring once there are max
	next    int
}

// NewRecorder returns a Recorder of at most n records (0 means 1000), encoded by e
// (nil means JSON).
func NewRecorder(n int, e Encoding) *Recorder {
	if n <= 0 {
		n = 1000
	}
	if e == nil {
		e = JSON()
	}
	return &Recorder{max: n, enc: e}
}

// Memory keeps the newest records in r.
func Memory(r *Recorder) Option {
	return func(o *options) error {
		if r == nil {
			return fault.Markf(ErrInvalid, "Memory(nil)")
		}
		return WithDriver("memory", func(context.Context) (Driver, error) { return r, nil })(o)
	}
}

// Encoding returns what the records are encoded by.
func (m *Recorder) Encoding() Encoding { return m.enc }

// Write stores records.
func (m *Recorder) Write(_ context.Context, b Batch) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range b.Records() {
		r = bytes.Clone(r)
		if len(m.records) < m.max {
			m.records = append(m.records, r)
			continue
		}
		m.records[m.next] = r
		m.next = (m.next + 1) % m.max
	}
	return b.Len(), nil
}

// Records returns the records, oldest first, as they were encoded. Flush the
// Log first to see what was just logged.
func (m *Recorder) Records() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]string, 0, len(m.records))
	for i := range m.records {
		all = append(all, string(m.records[(m.next+i)%len(m.records)]))
	}
	return all
}

// Reset forgets all records.
func (m *Recorder) Reset() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.records, m.next = nil, 0
}

// Ping returns nil.
func (m *Recorder) Ping(context.Context) error { return nil }

// Close returns nil; the records stay.
func (m *Recorder) Close() error { return nil }
