package event

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/micro/go-platform/internal/fault"
)

// memGroup is a group's place in the log. The members are in this process, so
// none of them can die alone: what is handed out comes back by Close.
type memGroup struct {
	name     string
	types    Patterns
	handed   uint64            // everything up to here was handed out
	pending  map[uint64]handed // handed out and not acknowledged
	returned []uint64          // to be handed out again, ascending; still in pending
	members  map[*memMember]struct{}
	holder   *memMember // the exclusive one
}

type handed struct {
	to      *memMember // nil: returned
	attempt int
}

// needed is the lowest position that the group still needs.
func (g *memGroup) needed() uint64 {
	n := g.handed + 1
	for p := range g.pending {
		n = min(n, p)
	}
	return n
}

func (g *memGroup) lag(end uint64) Lag {
	return Lag{Pending: int64(len(g.pending)), Behind: int64(end - g.handed)}
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
		g = &memGroup{name: c.Name, types: c.Types, handed: min(max(n, m.base), m.end()), pending: map[uint64]handed{}, members: map[*memMember]struct{}{}}
		m.groups[c.Name] = g
		if err := m.saveGroups(); err != nil {
			delete(m.groups, c.Name)
			return nil, err
		}
	} else if !SameTypes(g.types.List(), c.Types.List()) {
		return nil, ConflictingTypes(c.Name, g.types.List(), c.Types.List())
	}
	mm := &memMember{m: m, g: g, exclusive: c.Exclusive}
	g.members[mm] = struct{}{}
	return mm, nil
}

// SameTypes reports whether two groups select the same, for drivers' Join.
func SameTypes(a, b []string) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(slices.Compact(a), slices.Compact(b))
}

// ConflictingTypes is the error of Join for a group with other types.
func ConflictingTypes(group string, has, asked []string) error {
	return fault.Markf(fault.Conflict, "group %q selects %q, not %q: use another name, or delete the group first", group, has, asked)
}

func (m *memory) Groups(context.Context) ([]GroupInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []GroupInfo
	for _, g := range m.groups {
		list = append(list, GroupInfo{Name: g.name, Types: g.types.List(), Lag: g.lag(m.end())})
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
	exclusive bool
}

// Fetch returns the records that the log has: the front only reads them, and
// gives handlers copies.
func (mm *memMember) Fetch(ctx context.Context, limit int) ([]Delivered, error) {
	m, g := mm.m, mm.g
	m.mu.Lock()
	defer m.mu.Unlock()
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if m.groups[g.name] != g {
			return nil, fault.Markf(fault.NotFound, "group %q was deleted", g.name)
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
	ds := make([]Delivered, 0, min(uint64(limit), uint64(len(g.returned))+m.end()-g.handed))
	for len(ds) < limit && len(g.returned) > 0 {
		n := g.returned[0]
		g.returned = g.returned[1:]
		h := handed{to: mm, attempt: g.pending[n].attempt + 1}
		g.pending[n] = h
		ds = append(ds, Delivered{Record: m.log[n-1-m.base].r, Attempt: h.attempt, Tag: n})
	}
	for len(ds) < limit && g.handed < m.end() {
		g.handed++
		if r := m.log[g.handed-1-m.base].r; g.types.Match(r.Type) {
			g.pending[g.handed] = handed{to: mm, attempt: 1}
			ds = append(ds, Delivered{Record: r, Attempt: 1, Tag: g.handed})
		}
	}
	return ds
}

func (mm *memMember) Ack(_ context.Context, ds []Delivered) error {
	mm.m.mu.Lock()
	defer mm.m.mu.Unlock()
	for _, d := range ds {
		n := d.Tag.(uint64)
		if mm.g.pending[n].to == mm {
			delete(mm.g.pending, n)
		}
	}
	mm.m.moved()
	return nil
}

func (mm *memMember) Extend(context.Context, []Delivered) error { return nil }

func (mm *memMember) Release(_ context.Context, ds []Delivered) error {
	mm.m.mu.Lock()
	defer mm.m.mu.Unlock()
	for _, d := range ds {
		mm.giveBack(d.Tag.(uint64))
	}
	slices.Sort(mm.g.returned)
	mm.m.changed()
	return nil
}

// giveBack returns one record. m.mu is held.
func (mm *memMember) giveBack(n uint64) {
	if h := mm.g.pending[n]; h.to == mm {
		mm.g.pending[n] = handed{attempt: h.attempt - 1}
		mm.g.returned = append(mm.g.returned, n)
	}
}

func (mm *memMember) Lag(context.Context) (Lag, error) {
	mm.m.mu.Lock()
	defer mm.m.mu.Unlock()
	return mm.g.lag(mm.m.end()), nil
}

func (mm *memMember) Close(context.Context) error {
	m, g := mm.m, mm.g
	m.mu.Lock()
	defer m.mu.Unlock()
	for n := range maps.Clone(g.pending) {
		mm.giveBack(n)
	}
	slices.Sort(g.returned)
	delete(g.members, mm)
	if g.holder == mm {
		g.holder = nil
	}
	m.changed()
	return nil
}
