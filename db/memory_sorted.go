package db

import (
	"iter"
	"slices"
	"strings"
)

// sorted is a set of entries in the order of their keys: blocks of them, each
// of which ends before the next one begins. To find, add or remove one costs a
// binary search for the block and one within it.
type sorted struct {
	blocks [][]entry // none is empty
	n      int
}

// entry leads from a key to its record.
type entry struct {
	key string
	r   *Record
}

// blockSize is how many entries a block has at most. A block that is split
// leaves two halves, and two neighbors that fit into half a block become one.
const blockSize = 256

// spot is where an entry is, or would be.
type spot struct{ block, i int }

// seek returns the spot of the first entry whose key is not below key.
func (s *sorted) seek(key string) spot {
	b, found := slices.BinarySearchFunc(s.blocks, key, func(b []entry, key string) int { return strings.Compare(b[0].key, key) })
	if found || b == 0 {
		return spot{b, 0}
	}
	i, _ := slices.BinarySearchFunc(s.blocks[b-1], key, func(e entry, key string) int { return strings.Compare(e.key, key) })
	if i == len(s.blocks[b-1]) {
		return spot{b, 0}
	}
	return spot{b - 1, i}
}

// at returns the entry at a spot, or nil at the end.
func (s *sorted) at(p spot) *entry {
	if p.block == len(s.blocks) {
		return nil
	}
	return &s.blocks[p.block][p.i]
}

// set has an entry for a key with a record.
func (s *sorted) set(key string, r *Record) {
	p := s.seek(key)
	if e := s.at(p); e != nil && e.key == key {
		e.r = r
		return
	}
	s.n++
	switch {
	case len(s.blocks) == 0:
		s.blocks = [][]entry{{{key, r}}}
		return
	case p.i == 0 && p.block > 0: // rather at the end of the block before
		p = spot{p.block - 1, len(s.blocks[p.block-1])}
	}
	b := slices.Insert(s.blocks[p.block], p.i, entry{key, r})
	s.blocks[p.block] = b
	if len(b) <= blockSize {
		return
	}
	half := len(b) / 2
	if p.block == len(s.blocks)-1 && p.i == len(b)-1 { // keys that rise, as ids do, leave full blocks
		half = len(b) - 1
	}
	rest := append(make([]entry, 0, blockSize+1), b[half:]...)
	clear(b[half:])
	s.blocks[p.block] = b[:half]
	s.blocks = slices.Insert(s.blocks, p.block+1, rest)
}

// remove removes the entry of a key, if there is one.
func (s *sorted) remove(key string) {
	p := s.seek(key)
	if e := s.at(p); e == nil || e.key != key {
		return
	}
	s.n--
	b := slices.Delete(s.blocks[p.block], p.i, p.i+1)
	s.blocks[p.block] = b
	if len(b) == 0 {
		s.blocks = slices.Delete(s.blocks, p.block, p.block+1)
		return
	}
	for _, first := range []int{p.block - 1, p.block} { // together with the one before, or the one after
		if first >= 0 && first+1 < len(s.blocks) && len(s.blocks[first])+len(s.blocks[first+1]) <= blockSize/2 {
			s.blocks[first] = append(s.blocks[first], s.blocks[first+1]...)
			s.blocks = slices.Delete(s.blocks, first+1, first+2)
			return
		}
	}
}

// span is the keys from one, below another. An empty one below stands for no
// end.
type span struct{ from, below string }

func (s *sorted) ends(sp span) (first, end spot) {
	first, end = s.seek(sp.from), spot{len(s.blocks), 0}
	if sp.below != "" {
		end = s.seek(sp.below)
	}
	return first, end
}

// estimate is how many entries a span has: exactly, if it is in a block or two,
// else as if the blocks between were as full as they are on average.
func (s *sorted) estimate(sp span) int {
	first, end := s.ends(sp)
	switch between := end.block - first.block; {
	case between <= 0:
		return max(0, end.i-first.i)
	case between == 1:
		return len(s.blocks[first.block]) - first.i + end.i
	default:
		return len(s.blocks[first.block]) - first.i + end.i + (between-1)*s.n/len(s.blocks)
	}
}

// walk goes through the records of a span, in the order of the keys or
// backwards.
func (s *sorted) walk(sp span, backwards bool) iter.Seq[*Record] {
	return func(yield func(*Record) bool) {
		p, end := s.ends(sp)
		if !backwards {
			for ; p.block < end.block || p.block == end.block && p.i < end.i; p.i++ {
				if p.i == len(s.blocks[p.block]) {
					p = spot{p.block + 1, -1}
				} else if !yield(s.blocks[p.block][p.i].r) {
					return
				}
			}
			return
		}
		for p.block < end.block || p.block == end.block && p.i < end.i {
			if end.i == 0 {
				end.block--
				end.i = len(s.blocks[end.block])
			}
			end.i--
			if !yield(s.blocks[end.block][end.i].r) {
				return
			}
		}
	}
}
