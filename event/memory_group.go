package event

import (
	"cmp"
	"context"
	"slices"

	"github.com/micro/go-platform/internal/fault"
)

// memGroup is a group's place in the log. The members are in this process, so
// none of them can die alone: what is handed out comes back by Close.
type memGroup struct {
	name     string
	types    Patterns
	done     uint64   // everything up to here is acknowledged
	states   []state  // of the records that were handed out after it
	pending  int64    // of those, handed out or returned and not acknowledged
	returned []uint64 // to be handed out again, ascending
	members  int32    // how many there ever were
	holder   *memMember
}

// state is what happened to a record.
type state struct {
	member  int32 // that has it; returned or finished
	attempt int32
}

const (
	returned = 0
	finished = -1
)

// handed is the last position that was handed out.
func (g *memGroup) handed() uint64 { return g.done + uint64(len(g.states)) }

// state is that of a position from done on, up to handed.
func (g *memGroup) state(n uint64) *state { return &g.states[n-g.done-1] }

// forward moves done over what is finished, and reports whether it moved.
func (g *memGroup) forward() bool {
	n := 0
	for n < len(g.states) && g.states[n].member == finished {
		n++
	}
	g.done += uint64(n)
	g.states = g.states[n:]
	if len(g.states) == 0 {
		g.states = nil
	}
	return n > 0
}

func (g *memGroup) lag(end uint64) Lag {
	return Lag{Pending: g.pending, Behind: int64(end - g.handed())}
}

func (m *memory) Join(_ context.Context, c GroupConfig) (Member, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	g := m.groups[c.Name]
	if g == nil {
		n, err := m.locate(c.Start)
		if err != nil {
			return nil, err
		}
		g = &memGroup{name: c.Name, types: c.Types, done: min(max(n, m.log.base), m.log.end)}
		m.groups[c.Name] = g
		if err := m.saveGroups(); err != nil {
			delete(m.groups, c.Name)
			return nil, err
		}
	} else if err := c.CheckTypes(g.types.List()); err != nil {
		return nil, err
	}
	g.members++
	return &memMember{m: m, g: g, number: g.members, exclusive: c.Exclusive}, nil
}

func (m *memory) Groups(context.Context) ([]GroupInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []GroupInfo
	for _, g := range m.groups {
		list = append(list, GroupInfo{Name: g.name, Types: g.types.List(), Lag: g.lag(m.log.end)})
	}
	slices.SortFunc(list, func(a, b GroupInfo) int { return cmp.Compare(a.Name, b.Name) })
	return list, nil
}

func (m *memory) DeleteGroup(_ context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.groups[name] == nil {
		return fault.NotFound
	}
	delete(m.groups, name)
	m.changed()
	return m.saveGroups()
}

// memMember is one subscription's part in a group.
type memMember struct {
	m         *memory
	g         *memGroup
	number    int32
	exclusive bool
	ds        []Delivered // of the last Fetch
}

// Fetch returns places in the log: the front decodes each when a handler gets it.
func (mm *memMember) Fetch(ctx context.Context, limit int) ([]Delivered, error) {
	m, g := mm.m, mm.g
	m.mu.Lock()
	defer m.mu.Unlock()
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if m.groups[g.name] != g {
			return nil, fault.Markf(ErrNotFound, "group %q was deleted", g.name)
		}
		if !mm.exclusive || g.holder == nil || g.holder == mm {
			if mm.exclusive {
				g.holder = mm
			}
			if ds := mm.hand(limit); len(ds) > 0 {
				return ds, nil
			}
		}
		if err := m.await(ctx); err != nil {
			return nil, err
		}
	}
}

// hand hands out what came back first, then what is new. m.mu is held.
func (mm *memMember) hand(limit int) []Delivered {
	m, g := mm.m, mm.g
	clear(mm.ds)
	ds := mm.ds[:0]
	for len(ds) < limit && len(g.returned) > 0 {
		n := g.returned[0]
		g.returned = g.returned[1:]
		st := g.state(n)
		st.member = mm.number
		st.attempt++
		s, i := m.log.find(n)
		ds = append(ds, Delivered{Attempt: int(st.attempt), segment: s, index: i})
	}
	n := g.handed()
	for len(ds) < limit && n < m.log.end {
		n++
		s, i := m.log.find(n)
		if g.types.matchText(s.typ(i)) {
			g.states = append(g.states, state{mm.number, 1})
			g.pending++
			ds = append(ds, Delivered{Attempt: 1, segment: s, index: i})
		} else {
			g.states = append(g.states, state{member: finished})
		}
	}
	if len(ds) == 0 && g.forward() { // nobody acknowledges what was not for the group
		m.moved()
	}
	mm.ds = ds
	return ds
}

// position of what hand handed out.
func (d *Delivered) position() uint64 { return d.segment.first + uint64(d.index) }

// has reports whether a record is this member's.
func (mm *memMember) has(n uint64) bool {
	return n > mm.g.done && n <= mm.g.handed() && mm.g.state(n).member == mm.number
}

func (mm *memMember) Ack(_ context.Context, ds []Delivered) error {
	mm.m.mu.Lock()
	defer mm.m.mu.Unlock()
	for i := range ds {
		if n := ds[i].position(); mm.has(n) {
			mm.g.state(n).member = finished
			mm.g.pending--
		}
	}
	if mm.g.forward() {
		mm.m.moved()
	}
	return nil
}

func (mm *memMember) Extend(context.Context, []Delivered) error { return nil }

func (mm *memMember) Release(_ context.Context, ds []Delivered) error {
	mm.m.mu.Lock()
	defer mm.m.mu.Unlock()
	for i := range ds {
		mm.giveBack(ds[i].position())
	}
	slices.Sort(mm.g.returned)
	mm.m.changed()
	return nil
}

// giveBack returns one record. m.mu is held.
func (mm *memMember) giveBack(n uint64) {
	if mm.has(n) {
		st := mm.g.state(n)
		st.member = returned
		st.attempt--
		mm.g.returned = append(mm.g.returned, n)
	}
}

func (mm *memMember) Lag(context.Context) (Lag, error) {
	mm.m.mu.Lock()
	defer mm.m.mu.Unlock()
	return mm.g.lag(mm.m.log.end), nil
}

func (mm *memMember) Close(context.Context) error {
	m, g := mm.m, mm.g
	m.mu.Lock()
	defer m.mu.Unlock()
	for n := g.done + 1; n <= g.handed(); n++ {
		mm.giveBack(n)
	}
	slices.Sort(g.returned)
	if g.holder == mm {
		g.holder = nil
	}
	m.changed()
	return nil
}
