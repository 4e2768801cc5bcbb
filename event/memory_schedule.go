package event

import (
	"cmp"
	"container/heap"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/micro/go-platform/internal/fault"
)

// memorySchedule is what a memory stream publishes later. The memory's mutex
// guards it.
type memorySchedule struct {
	byID    map[string]*planned
	due     dueHeap
	version uint64 // counts entries
}

// planned is an entry.
type planned struct {
	Scheduled
	index  int    // in the heap
	after  uint64 // the end of the log when the entry was made
	loaded bool   // from a journal: what it stands for may be in the log already
}

// dueHeap has the earliest entry first.
type dueHeap []*planned

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return comparePlanned(h[i], h[j]) < 0 }
func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}
func (h *dueHeap) Push(x any) {
	p := x.(*planned)
	p.index = len(*h)
	*h = append(*h, p)
}
func (h *dueHeap) Pop() any {
	old := *h
	p := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return p
}

func comparePlanned(a, b *planned) int {
	return cmp.Or(a.Due.Compare(b.Due), strings.Compare(a.ID, b.ID))
}

func (s *memorySchedule) some() bool { return len(s.byID) > 0 }

func (s *memorySchedule) put(p *planned) {
	if s.byID == nil {
		s.byID = map[string]*planned{}
	}
	s.remove(p.ID)
	s.byID[p.ID] = p
	heap.Push(&s.due, p)
}

func (s *memorySchedule) remove(id string) {
	if p := s.byID[id]; p != nil {
		heap.Remove(&s.due, p.index)
		delete(s.byID, id)
	}
}

func (m *memory) Schedule(_ context.Context, entries []Scheduled) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return fault.Closed
	}
	list := make([]*planned, len(entries))
	for i, e := range entries {
		m.schedule.version++
		e.Record, e.Version = e.Record.Clone(), strconv.FormatUint(m.schedule.version, 10)
		if old := m.schedule.byID[e.ID]; old != nil && e.Recurrence != "" && old.Recurrence == e.Recurrence {
			e.Due = old.Due
			list[i] = &planned{Scheduled: e, after: old.after, loaded: old.loaded} // it may have been published
			continue
		}
		list[i] = &planned{Scheduled: e, after: m.log.end}
	}
	if m.j != nil {
		if err := m.j.plan.put(list, &m.schedule); err != nil {
			return err
		}
	}
	for _, p := range list {
		m.schedule.put(p)
	}
	return nil
}

func (m *memory) Unschedule(_ context.Context, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return fault.Closed
	}
	if m.schedule.byID[id] == nil {
		return fault.NotFound
	}
	if m.j != nil {
		if err := m.j.plan.remove(id, &m.schedule); err != nil {
			return err
		}
	}
	m.schedule.remove(id)
	return nil
}

func (m *memory) Scheduled(_ context.Context, from string, limit int) ([]Scheduled, string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	last := &planned{}
	if from != "" {
		ms, id, _ := strings.Cut(from, " ")
		n, err := strconv.ParseInt(ms, 10, 64)
		if err != nil {
			return nil, "", invalidf("no place in the schedule: %q", from)
		}
		last.Due, last.ID = time.UnixMilli(n).UTC(), id
	}
	var rest []*planned
	for _, p := range m.schedule.due {
		if from == "" || comparePlanned(p, last) > 0 {
			rest = append(rest, p)
		}
	}
	slices.SortFunc(rest, comparePlanned)
	next := ""
	if len(rest) > limit {
		rest = rest[:limit]
		p := rest[limit-1]
		next = strconv.FormatInt(p.Due.UnixMilli(), 10) + " " + p.ID
	}
	return copyPlanned(rest), next, nil
}

// copyPlanned returns entries that belong to the caller.
func copyPlanned(ps []*planned) []Scheduled {
	var list []Scheduled
	for _, p := range ps {
		e := p.Scheduled
		e.Record = e.Record.Clone()
		list = append(list, e)
	}
	return list
}

func (m *memory) Due(_ context.Context, limit int) (dueNow, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := dueNow{Now: time.Now()}
	var taken []*planned
	for len(taken) < limit && len(m.schedule.due) > 0 && !m.schedule.due[0].Due.After(now.Now) {
		taken = append(taken, heap.Pop(&m.schedule.due).(*planned))
	}
	if len(m.schedule.due) > 0 {
		now.Next = m.schedule.due[0].Due
	}
	for _, p := range taken {
		heap.Push(&m.schedule.due, p)
	}
	now.Entries = copyPlanned(taken)
	return now, nil
}

func (m *memory) Fire(_ context.Context, firings []firing) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return 0, fault.Closed
	}
	n := 0
	for _, f := range firings {
		p := m.schedule.byID[f.ID]
		if p == nil || !p.Due.Equal(f.Due) || p.Version != f.Version {
			continue
		}
		// The log first: if this process ends in between, what was published is
		// found there when the journal is read.
		if f.Record != nil && !(p.loaded && m.has(f.Record, p.after)) {
			d := m.drafts.Get().(*draft)
			d.add(f.Record)
			err := m.appendLocked(d, time.Now())
			m.drafts.Put(d.reset())
			if err != nil {
				return n, err
			}
		}
		moved := *p
		moved.Due, moved.after, moved.loaded = f.Next, m.log.end, false
		if m.j != nil {
			// If it can't be written the entry comes again with the journal, and is
			// known for what it is.
			if f.Next.IsZero() {
				m.j.plan.remove(f.ID, &m.schedule)
			} else {
				m.j.plan.put([]*planned{&moved}, &m.schedule)
			}
		}
		m.schedule.remove(f.ID)
		if !f.Next.IsZero() {
			m.schedule.put(&moved)
		}
		n++
	}
	return n, nil
}

// has reports whether a record was published after a position. m.mu is held.
func (m *memory) has(r *Record, after uint64) bool {
	page, _ := m.lookUp(ReadRequest{Filter: Filter{ID: r.ID, Source: r.Source}, Max: 1}, after, m.log.end+1)
	return len(page.Records) > 0
}
