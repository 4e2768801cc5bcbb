package cache

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// keys walks a queue both ways.
func keys(t *testing.T, q *fifo[int]) (all string) {
	t.Helper()
	back := ""
	bytes := int64(0)
	for e := q.first; e != nil; e = e.next {
		all += e.key
		bytes += e.size
	}
	for e := q.last; e != nil; e = e.prev {
		back = e.key + back
	}
	if all != back || bytes != q.bytes {
		t.Errorf("forward %s of %d bytes, backward %s, counted %d", all, bytes, back, q.bytes)
	}
	return all
}

func entryOf(key string, uses int) *entry[int] {
	e := &entry[int]{item: &item[int]{key: key}, size: 10, at: -1}
	for range uses {
		e.life.use()
	}
	return e
}

func TestAQueueWithoutOne(t *testing.T) {
	for without, want := range []string{"cb", "ca", "ba"} {
		var q fifo[int]
		var all []*entry[int]
		for _, k := range []string{"a", "b", "c"} {
			e := entryOf(k, 0)
			all = append(all, e)
			q.push(e)
		}
		q.remove(all[without])
		if got := keys(t, &q); got != want {
			t.Errorf("without %d: %s, want %s", without, got, want)
		}
	}
}

// Who is evicted: of small what was not used since it came, of main what was not used
// since the last look, and never what is being written.
func TestVictims(t *testing.T) {
	for name, c := range map[string]struct {
		small, main []int // uses, oldest first
		keep        int   // of small, then of main; -1: none
		want        string
		after       string // small and main, newest first
	}{
		"nothing":                      {nil, nil, -1, "none", "|"},
		"the oldest":                   {[]int{0, 0}, nil, -1, "0", "10|"},
		"one that is used":             {[]int{2, 0}, nil, -1, "1", "1|0"},
		"one that is used once":        {[]int{1, 0}, nil, -1, "0", "10|"},
		"the oldest is kept":           {[]int{0, 0}, nil, 0, "1", "01|"},
		"only the kept":                {[]int{0}, nil, 0, "none", "0|"},
		"the kept, and main":           {[]int{0}, []int{0, 0}, 0, "1", "0|21"},
		"main alone":                   {nil, []int{0, 0}, -1, "0", "|10"},
		"main, used":                   {nil, []int{1, 0}, -1, "1", "|01"},
		"main, all used":               {nil, []int{2, 1}, -1, "1", "|01"},
		"main, only the kept":          {nil, []int{0}, 0, "none", "|0"},
		"main, the kept is the oldest": {nil, []int{0, 0}, 0, "1", "|01"},
	} {
		var q queues[int]
		var all []*entry[int]
		put := func(to *fifo[int], where uint8, uses []int) {
			for _, n := range uses {
				e := entryOf(fmt.Sprint(len(all)), n)
				e.where = where
				all = append(all, e)
				to.push(e)
			}
		}
		put(&q.small, inSmall, c.small)
		put(&q.main, inMain, c.main)
		var keep *entry[int]
		if c.keep >= 0 {
			keep = all[c.keep]
		}
		got := "none"
		if e := q.victim(keep); e != nil {
			got = e.key
		}
		if after := keys(t, &q.small) + "|" + keys(t, &q.main); got != c.want || after != c.after {
			t.Errorf("%s: %s is evicted from %s, want %s from %s", name, got, after, c.want, c.after)
		}
		for e := q.main.first; e != nil && len(c.main) == 0; e = e.next {
			if e.life.uses() != 0 {
				t.Errorf("%s: %s goes to main with %d uses", name, e.key, e.life.uses())
			}
		}
	}
}

// What was evicted from small and is written again goes to main at once.
func TestWhatComesBackGoesToMain(t *testing.T) {
	c := New(Config[int]{MaxBytes: 10 * (Overhead + 2)})
	for i := range 15 {
		set(c, fmt.Sprintf("%02d", i), i, 0, 0)
	}
	s := &c.shards[0]
	for key, want := range map[string]uint8{"00": inMain, "xx": inSmall} {
		if s.table.Load().find(c.hash(key), key) != nil {
			t.Fatalf("%s is there", key)
		}
		set(c, key, 1, 0, 0)
		if e := s.table.Load().find(c.hash(key), key).entry; e.where != want {
			t.Errorf("%s is in %d, want %d", key, e.where, want)
		}
		if both := keys(t, &s.small) + keys(t, &s.main); !strings.Contains(both, key) {
			t.Errorf("%s is in no queue: %s", key, both)
		}
	}
}

// A ghost is found once, the oldest go first, and their order takes no more room than
// they do.
func TestGhosts(t *testing.T) {
	var g ghosts
	for hash := range uint64(10_000) {
		g.add(hash, 10)
		if n := len(g.set); n > 10 || len(g.order) > 200 {
			t.Fatalf("%d ghosts in an order of %d, want at most 10", n, len(g.order))
		}
	}
	for _, c := range []struct {
		hash uint64
		want bool
	}{{9989, false}, {9990, true}, {9990, false}, {9999, true}, {9999, false}} {
		if got := g.take(c.hash); got != c.want {
			t.Errorf("%d is there: %v, want %v", c.hash, got, c.want)
		}
	}
	g.add(1, 9) // one that was taken counts no more: nothing goes for this
	if !g.take(9991) || !g.take(1) {
		t.Error("a ghost went before its time")
	}
}

// Entries that come back leave the ghosts before their turn: the order does not grow with
// each that does.
func TestGhostsThatComeBackLeaveNothing(t *testing.T) {
	c := New(Config[int]{MaxBytes: 1 << 16})
	use := func(i int) {
		k := fmt.Sprint("key/", i)
		c.Update(k, func(v int, _ time.Duration, ok bool) Change[int] {
			return Change[int]{Op: Set, Value: v + 1}
		})
	}
	for i := range 10_000 {
		use(i)
	}
	some := c.Len() * 3 / 2 // half as many as there is room for are evicted, and come back
	for i := range 500 * some {
		use(i % some)
	}
	ghosts, places := 0, 0
	for i := range c.shards {
		ghosts += len(c.shards[i].ghosts.set)
		places += len(c.shards[i].ghosts.order)
	}
	if ghosts == 0 || places > 2*ghosts+100*len(c.shards) {
		t.Errorf("%d ghosts of %d entries have %d places", ghosts, c.Len(), places)
	}
}
