package cache

// table finds entries by key: open addressing with linear probing (Knuth, The
// Art of Computer Programming 6.4). A look-up touches one place of the table
// and one entry, where a map of pointers touches twice as much memory.
type table[V any] struct {
	slots []slot[V] // a power of two
	n     int
}

type slot[V any] struct {
	hash  uint64
	entry *entry[V] // nil: free
}

// home is where an entry with the hash belongs. The low bits chose the shard.
func (t *table[V]) home(hash uint64) uint64 { return hash >> 16 & uint64(len(t.slots)-1) }

func (t *table[V]) find(hash uint64, key string) *entry[V] {
	if len(t.slots) == 0 {
		return nil
	}
	mask := uint64(len(t.slots) - 1)
	for i := t.home(hash); ; i = (i + 1) & mask {
		s := &t.slots[i]
		if s.entry == nil {
			return nil
		}
		if s.hash == hash && s.entry.key == key {
			return s.entry
		}
	}
}

// insert adds an entry that is not there.
func (t *table[V]) insert(e *entry[V]) {
	if t.n++; 4*t.n > 3*len(t.slots) {
		old := t.slots
		t.slots = make([]slot[V], max(8, 2*len(old)))
		for _, s := range old {
			if s.entry != nil {
				t.place(s)
			}
		}
	}
	t.place(slot[V]{e.hash, e})
}

func (t *table[V]) place(s slot[V]) {
	mask := uint64(len(t.slots) - 1)
	i := t.home(s.hash)
	for t.slots[i].entry != nil {
		i = (i + 1) & mask
	}
	t.slots[i] = s
}

// remove takes out an entry that is there, and moves back what had to be put
// behind it.
func (t *table[V]) remove(e *entry[V]) {
	mask := uint64(len(t.slots) - 1)
	i := t.home(e.hash)
	for t.slots[i].entry != e {
		i = (i + 1) & mask
	}
	t.n--
	for j := (i + 1) & mask; t.slots[j].entry != nil; j = (j + 1) & mask {
		// What is at j may move to i unless its home lies behind i, up to j.
		if (j-t.home(t.slots[j].hash))&mask >= (j-i)&mask {
			t.slots[i] = t.slots[j]
			i = j
		}
	}
	t.slots[i] = slot[V]{}
}

// each calls f for every entry until it returns false.
func (t *table[V]) each(f func(*entry[V]) bool) bool {
	for i := range t.slots {
		if e := t.slots[i].entry; e != nil && !f(e) {
			return false
		}
	}
	return true
}
