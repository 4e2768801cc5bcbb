package router

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/discovery"
)

// Fallback is what happens to labels that no instance carries, or none that is
// in rotation.
type Fallback uint8

const (
	FallbackNone Fallback = iota // a *NoMatchError
	FallbackAny                  // the labels are ignored
)

// subset is the nodes that carry all of some labels, compiled once for a set of
// instances.
type subset struct {
	nodes    []*Node // in this client's order
	chooser  Chooser
	known    int
	panic    atomic.Bool // too few of the nodes are in rotation
	aperture atomic.Int32
}

// members is what discovery last said, compiled.
type members struct {
	all   []*Node // in this client's order
	whole *subset
	rules []*applied // in the order in which they are tried

	mu      sync.Mutex                      // held while subsets is replaced
	subsets atomic.Pointer[map[uint64]kept] // by the hash of the key
}

// subsetKey is what a subset is compiled for.
type subsetKey struct {
	rule   *applied // nil: labels alone
	branch int      // -1: the rule's fallback
	labels string
}

// kept is a compiled subset. Its key is there to tell equal hashes apart.
type kept struct {
	subsetKey
	*subset
}

// hashed is the labels' hash, mixed with the rule and the branch.
func (l *labelSet) hashed(a *applied, branch int) uint64 {
	if a == nil {
		return l.hash
	}
	return mix(l.hash ^ a.seed + uint64(branch))
}

// maxSubsets bounds how many sets of labels are kept compiled; callers choose labels.
const maxSubsets = 256

// labelsKey is the labels as one string.
func labelsKey(l map[string]string) string {
	if len(l) == 1 {
		for k, v := range l {
			return k + "\x00" + v + "\x00"
		}
	}
	keys := slices.Sorted(maps.Keys(l))
	var b strings.Builder
	for _, k := range keys {
		b.WriteString(k)
		b.WriteByte(0)
		b.WriteString(l[k])
		b.WriteByte(0)
	}
	return b.String()
}

// carries reports whether an instance has all of the labels. Keys are compared
// without regard to case, since they travel as headers.
func carries(in *discovery.Instance, l map[string]string) bool {
	for k, v := range l {
		if got, ok := in.Labels[k]; ok && got == v {
			continue
		}
		found := false
		for have, got := range in.Labels {
			if strings.EqualFold(have, k) && got == v {
				found = true
				break
			}
		}
		if !found {
			return false
		}
	}
	return true
}

// subset returns the nodes for some labels.
func (m *members) subset(o *options, l *labelSet) *subset {
	if l == nil {
		return m.whole
	}
	if s := m.compiled(l, nil, 0); s != nil {
		return s
	}
	return m.keep(l, nil, 0, m.carrying(o, l.m))
}

// carrying compiles the nodes that carry labels.
func (m *members) carrying(o *options, l map[string]string) *subset {
	if len(l) == 0 {
		return m.whole
	}
	s := m.compile(o, func(n *Node) bool { return carries(n.Instance(), l) })
	if len(s.nodes) == 0 && o.fallback == FallbackAny {
		return m.whole
	}
	return s
}

// compiled returns the subset for labels, or for those and a branch of a rule,
// or nil.
func (m *members) compiled(l *labelSet, a *applied, branch int) *subset {
	if all := m.subsets.Load(); all != nil {
		if k, ok := (*all)[l.hashed(a, branch)]; ok && k.rule == a && k.branch == branch && k.labels == l.key {
			return k.subset
		}
	}
	return nil
}

// keep keeps what compiled will return, unless another call was faster.
func (m *members) keep(l *labelSet, a *applied, branch int, s *subset) *subset {
	m.mu.Lock()
	defer m.mu.Unlock()
	if first := m.compiled(l, a, branch); first != nil {
		return first
	}
	next := map[uint64]kept{}
	if all := m.subsets.Load(); all != nil && len(*all) < maxSubsets {
		next = maps.Clone(*all)
	}
	next[l.hashed(a, branch)] = kept{subsetKey{a, branch, l.key}, s}
	m.subsets.Store(&next)
	return s
}

func (m *members) compile(o *options, match func(*Node) bool) *subset {
	s := &subset{chooser: o.strategy.Chooser(), known: len(m.all)}
	for _, n := range m.all {
		if match(n) {
			s.nodes = append(s.nodes, n)
		}
	}
	s.refresh(o, o.now(), 0)
	return s
}

// refresh decides anew what depends on time: panic and the aperture.
func (s *subset) refresh(o *options, now time.Duration, concurrency float64) {
	in := 0
	for _, n := range s.nodes {
		if !n.out(now) && (len(n.breakers) != 1 || n.breakers[0].Load().ready(now)) {
			in++
		}
	}
	s.panic.Store(len(s.nodes) > 0 && (in == 0 || float64(in) < o.panic*float64(len(s.nodes))))
	// The load that a node gets from this client should be about a half call
	// in flight; fewer than eight nodes can't spread what is slow.
	want := max(int(concurrency/0.5)+1, 8)
	s.aperture.Store(int32(min(want, len(s.nodes))))
}

// compileMembers takes over what is known of nodes that stay.
func (sv *service) compileMembers(snap discovery.Snapshot) *members {
	now := sv.o.now()
	m := &members{}
	present := map[string]bool{}
	for i := range snap.Instances {
		in := &snap.Instances[i]
		present[in.ID] = true
		n := sv.nodes[in.ID]
		if n == nil {
			n = newNode(sv, in, now)
			sv.nodes[in.ID] = n
		}
		n.gone = 0
		n.instance.Store(in)
		n.away.Store(sv.o.zone != "" && in.Zone != sv.o.zone)
		if in.Status == discovery.Up {
			m.all = append(m.all, n)
		}
	}
	for id, n := range sv.nodes {
		if present[id] {
			continue
		}
		if n.gone == 0 {
			n.gone = now
		} else if now-n.gone > sv.o.keep {
			delete(sv.nodes, id)
		}
	}
	slices.SortFunc(m.all, func(a, b *Node) int {
		if away := a.away.Load(); away != b.away.Load() {
			if away {
				return 1
			}
			return -1
		}
		return cmp.Compare(a.order, b.order)
	})
	m.finish(sv)
	return m
}

// finish compiles what is used without being asked for.
func (m *members) finish(sv *service) {
	m.whole = m.compile(sv.o, func(*Node) bool { return true })
	if all := sv.rules.Load(); all != nil {
		for _, r := range (*all)[sv.name] {
			m.rules = append(m.rules, m.apply(sv.o, r))
		}
	}
}
