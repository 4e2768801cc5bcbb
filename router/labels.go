package router

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/micro/go-platform/discovery"
)

// Fallback is what happens to labels that no instance carries, or none that is
// in rotation.
type Fallback uint8

const (
	FallbackNone Fallback = iota // a *NoMatchError
	FallbackAny                  // the labels are ignored
)

// labelSet is labels with the one string that they are looked up by.
type labelSet struct {
	m    map[string]string
	key  string
	hash uint64
}

func newLabelSet(m map[string]string) *labelSet {
	key := labelsKey(m)
	return &labelSet{m, key, hash(key)}
}

// all returns the labels; those of nil are none.
func (l *labelSet) all() map[string]string {
	if l == nil {
		return nil
	}
	return l.m
}

// labelsKey is the labels as one string.
func labelsKey(l map[string]string) string {
	if len(l) == 1 {
		for k, v := range l {
			return k + "\x00" + v + "\x00"
		}
	}
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(l)) {
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

// maxSubsets bounds how many sets of labels are kept compiled; callers choose labels.
const maxSubsets = 256

// subsetKey is what a subset is compiled for: labels, and the branch of a rule.
type subsetKey struct {
	labels *labelSet
	rule   *applied // nil: labels alone
	branch int      // -1: the rule's fallback
}

func (k subsetKey) hash() uint64 {
	if k.rule == nil {
		return k.labels.hash
	}
	return mix(k.labels.hash ^ k.rule.seed + uint64(k.branch))
}

// equals tells equal hashes apart.
func (k subsetKey) equals(o subsetKey) bool {
	return k.rule == o.rule && k.branch == o.branch && k.labels.key == o.labels.key
}

// subsets is a cache of compiled subsets. A look-up takes no lock.
type subsets struct {
	mu  sync.Mutex                      // held while all is replaced
	all atomic.Pointer[map[uint64]kept] // by the hash of the key
}

type kept struct {
	subsetKey
	*subset
}

// get returns the subset of a key, and compiles it if it isn't there.
func (c *subsets) get(k subsetKey, compile func() *subset) *subset {
	if s := c.peek(k); s != nil {
		return s
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.peek(k); s != nil { // another call was faster
		return s
	}
	next := map[uint64]kept{}
	if all := c.all.Load(); all != nil && len(*all) < maxSubsets {
		next = maps.Clone(*all)
	}
	s := compile()
	next[k.hash()] = kept{k, s}
	c.all.Store(&next)
	return s
}

func (c *subsets) peek(k subsetKey) *subset {
	if all := c.all.Load(); all != nil {
		if have, ok := (*all)[k.hash()]; ok && have.equals(k) {
			return have.subset
		}
	}
	return nil
}

// each calls f with every subset that is kept.
func (c *subsets) each(f func(*subset)) {
	if all := c.all.Load(); all != nil {
		for _, s := range *all {
			f(s.subset)
		}
	}
}
