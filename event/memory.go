package event

import (
	"context"
	"math"
	"strconv"
	"sync"
	"time"

	"github.com/micro/go-platform/internal/fault"
)

// Memory keeps the stream in this process's memory. It is the default.
// Without WithRetention it keeps the newest 100 000 records and 64 MiB, and
// what groups have not read.
func Memory() Option {
	return WithDriver("memory", func(_ context.Context, s Settings) (Driver, error) {
		return newMemory(s.Retention), nil
	})
}

// memory is one append-only log. Position n is the nth record ever appended.
type memory struct {
	keep   Retention
	drafts sync.Pool // of *draft

	mu       sync.Mutex
	log      memoryLog
	wake     chan struct{} // closed at the next change; nil while nobody waits
	groups   map[string]*memGroup
	ids      memoryIndex
	roots    memoryIndex
	schedule memorySchedule
	roster   map[string]map[string]time.Time // of divided groups: until when a member lives
	j        *journal                        // nil without one
	closed   bool
}

func newMemory(keep Retention) *memory {
	if keep == (Retention{}) {
		keep = Retention{Count: 100_000, Bytes: 64 << 20}
	}
	m := &memory{keep: keep, groups: map[string]*memGroup{}, roots: memoryIndex{field: 3}}
	m.drafts.New = func() any { return &draft{} }
	return m
}

func (m *memory) Features() Features {
	return Features{Durable: m.j != nil, Atomic: true, Exclusive: true, Positions: true}
}

func (m *memory) Append(_ context.Context, records []*Record) (int, error) {
	d := m.drafts.Get().(*draft)
	defer func() { m.drafts.Put(d.reset()) }()
	for _, r := range records {
		d.add(r)
	}
	if err := m.append(d, time.Now()); err != nil {
		return 0, err
	}
	return len(records), nil
}

// append puts a draft into the log.
func (m *memory) append(d *draft, now time.Time) error {
	if len(d.buf) > math.MaxInt32 {
		return tooLargef("%d bytes at once", len(d.buf))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return fault.Closed
	}
	return m.appendLocked(d, now)
}

// appendLocked is append while m.mu is held.
func (m *memory) appendLocked(d *draft, now time.Time) error {
	at := now.UnixNano()
	if m.j != nil {
		if err := m.j.append(m.log.end+1, at, d); err != nil {
			return err
		}
	}
	d.all(func(b []byte, data int) { m.log.add(at, b, data) })
	m.appended()
	return nil
}

// appendOne is append of one record, where there is no journal.
func (m *memory) appendOne(r *Record, now time.Time) error {
	if len(r.Data) > math.MaxInt32 {
		return tooLargef("%d bytes", len(r.Data))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return fault.Closed
	}
	m.log.encode(now.UnixNano(), r)
	m.appended()
	return nil
}

// appended keeps to the limits and wakes who waits. m.mu is held.
func (m *memory) appended() {
	if n := m.log.count(); m.keep.Count > 0 && n > m.keep.Count+m.keep.Count/8 || m.keep.Bytes > 0 && m.log.bytes > m.keep.Bytes+m.keep.Bytes/8 {
		m.trim(m.keep)
	}
	m.changed()
}

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
	for m.log.end <= n {
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
		return 0, fault.Markf(ErrInvalid, "position %q is not one of this stream", s)
	}
	return n, nil
}

func formatPosition(n uint64) string { return strconv.FormatUint(n, 10) }

// locate returns the position that reading begins after. m.mu is held.
func (m *memory) locate(p Position) (uint64, error) {
	switch p.Kind {
	case AtEnd:
		return m.log.end, nil
	case AtTime:
		return m.log.since(p.Time), nil
	case AfterPosition:
		return parsePosition(p.ID)
	}
	return m.log.base, nil
}

// window is how many records a read looks at for each that it may return.
const window = 64

func (m *memory) Read(ctx context.Context, q ReadRequest) (Page, error) {
	if err := ctx.Err(); err != nil {
		return Page{}, err
	}
	if q.Reverse {
		return m.readBack(q)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.locate(q.From)
	if err != nil {
		return Page{}, err
	}
	var page Page
	if n < m.log.base {
		page.Missed = int64(m.log.base - n)
		n = m.log.base
	}
	if found, ok := m.lookUp(q, n, m.log.end+1); ok {
		found.Missed = page.Missed
		return found, nil
	}
	for looked := 0; n < m.log.end && len(page.Records) < q.Max && looked < window*q.Max; looked++ {
		n++
		if r := m.match(n, &q.Filter); r != nil {
			page.Records = append(page.Records, r)
		}
	}
	page.Next, page.More = formatPosition(n), n < m.log.end
	return page, nil
}

func (m *memory) readBack(q ReadRequest) (Page, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.log.end + 1 // before this
	switch q.From.Kind {
	case AfterPosition:
		p, err := parsePosition(q.From.ID)
		if err != nil {
			return Page{}, err
		}
		n = min(n, p)
	case AtTime:
		p, _ := m.locate(q.From)
		n = p + 1
	}
	var page Page
	if found, ok := m.lookUp(q, 0, n); ok {
		return found, nil
	}
	for looked := 0; n > m.log.base+1 && len(page.Records) < q.Max && looked < window*q.Max; looked++ {
		n--
		if r := m.match(n, &q.Filter); r != nil {
			page.Records = append(page.Records, r)
		}
	}
	page.Next, page.More = formatPosition(n), n > m.log.base+1
	return page, nil
}

// match returns a record if a filter asks for it. m.mu is held.
func (m *memory) match(n uint64, f *Filter) *Record {
	s, i := m.log.find(n)
	if f.ID == "" && f.RootID == "" && !f.Types.matchText(s.typ(i)) {
		return nil
	}
	if r := s.record(i); f.Match(r) {
		return r
	}
	return nil
}

func (m *memory) Behind(_ context.Context, after string) (int64, error) {
	n, err := parsePosition(after)
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.behind(n), err
}

// behind counts what is after a position. m.mu is held.
func (m *memory) behind(n uint64) int64 { return int64(m.log.end - max(min(n, m.log.end), m.log.base)) }

func (m *memory) Trim(_ context.Context, keep Retention) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.trim(keep), nil
}

// trim removes what is outside of the limits and not needed by a group.
func (m *memory) trim(keep Retention) int64 {
	limit := m.log.end
	for _, g := range m.groups {
		limit = min(limit, g.done)
	}
	removed := m.log.trim(keep, time.Now(), limit)
	if removed > 0 && m.j != nil {
		m.j.drop(m.log.base)
	}
	return removed
}

func (m *memory) Ping(context.Context) error { return nil }

func (m *memory) Close(context.Context) error {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
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
	return fault.Mark(ErrUnavailable, m.j.writeGroups(m.encodeGroups()))
}
