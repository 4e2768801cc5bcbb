package cache

import (
	"fmt"
	"testing"
	"time"
)

func TestThePartsAreTheWholeWhileOthersWrite(t *testing.T) {
	c := New(Config[int]{MaxBytes: 64 << 20})
	const stay = 5000
	for i := range stay {
		set(c, fmt.Sprint("stay", i), i, 10, 0)
	}
	if c.Shards() < 2 {
		t.Fatalf("%d parts: nothing is shown", c.Shards())
	}
	met := map[string]int{}
	for i := range c.Shards() {
		for n := range 50 { // tables grow in between
			set(c, fmt.Sprint("new", i, "/", n), n, 10, 0)
		}
		c.RangeShard(i, func(key string, _ int, _ time.Duration) bool { met[key]++; return true })
	}
	for i := range stay {
		if n := met[fmt.Sprint("stay", i)]; n != 1 {
			t.Fatalf("key %d was met %d times", i, n)
		}
	}
	n := 0
	c.RangeShard(0, func(string, int, time.Duration) bool { n++; return n < 3 })
	if n != 3 {
		t.Errorf("the walk went on after false: %d entries", n)
	}
}
