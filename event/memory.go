package event

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/micro/go-platform/internal/fault"
)

// WithMemory keeps the stream in this process's memory. It is the default.
// Without WithRetention it keeps the newest 100 000 records and 64 MiB, and
// what groups have not read.
func WithMemory() Option {
	return WithDriver("memory", func(_ context.Context, s Settings) (Driver, error) {
		return newMemory(s.Retention), nil
	})
}

// memory is one append-only log. Position n is the nth record ever appended.
type memory struct {
	keep Retention

	mu     sync.Mutex
	wake   chan struct{} // closed at the next change; nil while nobody waits
	log    []entry
	base   uint64 // position before log[0]
	bytes  int64
	groups map[string]*memGroup
	j      *journal // nil without one
}

type entry struct {
	r    *Record // never changed
	at   time.Time
	size int64
}

func newMemory(keep Retention) *memory {
	if keep == (Retention{}) {
		keep = Retention{Count: 100_000, Bytes: 64 << 20}
	}
	return &memory{keep: keep, groups: map[string]*memGroup{}}
}

func (m *memory) Features() Features {
	return Features{Durable: m.j != nil, Atomic: true, Exclusive: true, Positions: true}
}

func (m *memory) Append(ctx context.Context, records []*Record) (int, error) {
	copies := make([]*Record, len(records))
	for i, r := range records {
		copies[i] = r.Clone()
	}
	return m.adopt(copies)
}

// adopt is Append of records that nobody else has.
func (m *memory) adopt(records []*Record) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if m.j != nil {
		if err := m.j.append(m.end()+1, now, records); err != nil {
			return 0, err
		}
	}
	for _, r := range records {
		r.Position = formatPosition(m.end() + 1)
		e := entry{r: r, at: now, size: int64(r.size())}
		m.log = append(m.log, e)
		m.bytes += e.size
	}
	if n := int64(len(m.log)); m.keep.Count > 0 && n > m.keep.Count+m.keep.Count/8 || m.keep.Bytes > 0 && m.bytes > m.keep.Bytes+m.keep.Bytes/8 {
		m.trim(m.keep)
	}
	m.changed()
	return len(records), nil
}

// end is the position of the newest record.
func (m *memory) end() uint64 { return m.base + uint64(len(m.log)) }

// changed wakes whoever waits. m.mu is held.
func (m *memory) changed() {
	if m.wake != nil {
		close(m.wake)
		m.wake = nil
	}
}

// await waits for the next change. m.mu is held, and given up while waiting.
func (m *memory) await(ctx context.Context) error {
	if m.wake == nil {
		m.wake = make(chan struct{})
	}
	wake := m.wake
	m.mu.Unlock()
	defer m.mu.Lock()
	select {
	case <-wake:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (m *memory) Wait(ctx context.Context, after string) error {
	n, err := parsePosition(after)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for m.end() <= n {
		if err := m.await(ctx); err != nil {
			return err
		}
	}
	return nil
}

func parsePosition(s string) (uint64, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, fault.Markf(fault.Invalid, "position %q is not one of this stream", s)
	}
	return n, nil
}

func formatPosition(n uint64) string { return strconv.FormatUint(n, 10) }

// locate returns the position that reading begins after. m.mu is held.
func (m *memory) locate(p Position) (uint64, error) {
	switch p.Kind {
	case AtEnd:
		return m.end(), nil
	case AtTime:
		i, _ := slices.BinarySearchFunc(m.log, p.Time, func(e entry, t time.Time) int {
			if e.at.Before(t) {
				return -1
			}
			return 1
		})
		return m.base + uint64(i), nil
	case AfterPosition:
		return parsePosition(p.ID)
	}
	return m.base, nil
}

func (m *memory) Read(ctx context.Context, q ReadRequest) (Page, error) {
	if err := ctx.Err(); err != nil {
		return Page{}, err
	}
	found, page, err := m.find(q)
	if err != nil {
		return Page{}, err
	}
	page.Records = make([]*Record, len(found))
	for i, r := range found {
		page.Records[i] = r.Clone()
	}
	return page, nil
}

// find returns what Read does, before it is copied.
func (m *memory) find(q ReadRequest) ([]*Record, Page, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if q.Reverse {
		return m.findBack(q)
	}
	n, err := m.locate(q.From)
	if err != nil {
		return nil, Page{}, err
	}
	var page Page
	if n < m.base {
		page.Missed = int64(m.base - n)
		n = m.base
	}
	var found []*Record
	looked := 0
	for n < m.end() && len(found) < q.Max && looked < 64*q.Max {
		r := m.log[n-m.base].r
		n++
		looked++
		if q.Filter.Match(r) {
			found = append(found, r)
		}
	}
	page.Next, page.More = formatPosition(n), n < m.end()
	return found, page, nil
}

func (m *memory) findBack(q ReadRequest) ([]*Record, Page, error) {
	n := m.end() + 1 // before this
	switch q.From.Kind {
	case AfterPosition:
		p, err := parsePosition(q.From.ID)
		if err != nil {
			return nil, Page{}, err
		}
		n = min(n, p)
	case AtTime:
		p, _ := m.locate(q.From)
		n = p + 1
	}
	var found []*Record
	looked := 0
	for n > m.base+1 && len(found) < q.Max && looked < 64*q.Max {
		n--
		looked++
		if r := m.log[n-1-m.base].r; q.Filter.Match(r) {
			found = append(found, r)
		}
	}
	return found, Page{Next: formatPosition(n), More: n > m.base+1}, nil
}

func (m *memory) Behind(_ context.Context, after string) (int64, error) {
	n, err := parsePosition(after)
	m.mu.Lock()
	defer m.mu.Unlock()
	return int64(m.end() - max(min(n, m.end()), m.base)), err
}

func (m *memory) Trim(_ context.Context, keep Retention) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.trim(keep), nil
}

// trim removes what is outside of the limits and not needed by a group.
func (m *memory) trim(keep Retention) int64 {
	limit := m.end()
	for _, g := range m.groups {
		limit = min(limit, g.needed()-1)
	}
	now, removed, bytes := time.Now(), 0, m.bytes
	for _, e := range m.log {
		left := int64(len(m.log) - removed)
		old := keep.Age > 0 && now.Sub(e.at) > keep.Age
		if m.base+uint64(removed) >= limit || !old && (keep.Count == 0 || left <= keep.Count) && (keep.Bytes == 0 || bytes <= keep.Bytes) {
			break
		}
		bytes -= e.size
		removed++
	}
	if removed > 0 {
		clear(m.log[:removed]) // what append copies when it grows next is the rest
		m.log = m.log[removed:]
		m.base += uint64(removed)
		m.bytes = bytes
		if m.j != nil {
			m.j.drop(m.base)
		}
	}
	return int64(removed)
}

func (m *memory) Ping(context.Context) error { return nil }

func (m *memory) Close(context.Context) error {
	if m.j == nil {
		return nil
	}
	return m.j.close(m)
}

// moved notes that a group is elsewhere. m.mu is held.
func (m *memory) moved() {
	if m.j != nil {
		m.j.dirty = true
	}
}

// saveGroups writes the groups at once. m.mu is held.
func (m *memory) saveGroups() error {
	if m.j == nil {
		return nil
	}
	return fault.Mark(fault.Unavailable, m.j.writeGroups(m.encodeGroups()))
}
