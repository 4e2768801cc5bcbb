package log

import (
	"bytes"
	"strconv"
	"strings"
	"testing"
)

// Batches that were written collect again, as many as are kept; one that was made
// for a larger record goes.
func TestBatchesCollectAgain(t *testing.T) {
	const batch = 100
	c := &chunks{batch: batch}
	round := func(n, size int) []*Batch {
		for range n {
			c.Add(bytes.Repeat([]byte{'x'}, size), size)
		}
		var taken []*Batch
		for range n {
			b, count := c.Take()
			if count.Items != 1 || count.Bytes != uint64(size) || b.Len() != 1 || len(b.Data) != size {
				t.Fatalf("records of %d bytes: a batch has %+v", size, count)
			}
			taken = append(taken, b)
		}
		for _, b := range taken {
			c.Done(b)
		}
		return taken
	}
	for _, x := range []struct {
		name          string
		n, size, kept int
	}{
		{"larger than a batch", 3, batch + 1, 0},
		{"one", 1, batch, 1},
		{"as many as are kept", maxFree, batch, maxFree},
		{"one more", maxFree + 1, batch, maxFree},
		{"larger again", 2, 2 * batch, maxFree},
	} {
		first := round(x.n, x.size)
		if len(c.free) != x.kept {
			t.Errorf("%s: %d batches are kept, want %d", x.name, len(c.free), x.kept)
		}
		known := map[*Batch]bool{}
		for _, b := range first {
			known[b] = true
		}
		again := 0
		for _, b := range round(x.n, x.size) {
			if known[b] {
				again++
			}
		}
		if want := min(x.n, x.kept, maxFree); x.size <= batch && again != want || x.size > batch && again != 0 {
			t.Errorf("%s: %d batches collect again", x.name, again)
		}
	}
}

// A batch collects records as long as they fit, and the rest of it begins behind
// those that are written.
func TestTheBoundOfABatch(t *testing.T) {
	c := &chunks{batch: 10}
	for _, size := range []int{4, 6, 1, 10, 11, 9, 1, 1} {
		c.Add(bytes.Repeat([]byte{byte('a' + size)}, size), size)
	}
	for i, want := range []string{"4 6", "1", "10", "11", "9 1", "1"} {
		b, count := c.Take()
		got := sizes(b)
		if got != want || int(count.Items) != b.Len() || int(count.Bytes) != len(b.Data) {
			t.Errorf("batch %d has records of %s bytes, want %s", i, got, want)
		}
		if b.Len() == 2 {
			rest, bytes := c.Rest(b, 1)
			if sizes(rest) != want[2:] || bytes+len(rest.Data) != len(b.Data) || sizes(b) != want {
				t.Errorf("batch %d: the rest is %s, and %s of it", i, sizes(rest), sizes(b))
			}
			if none, all := c.Rest(b, 2); none.Len() != 0 || all != len(b.Data) {
				t.Errorf("batch %d: behind all of it are %d records", i, none.Len())
			}
		}
	}
	if len(c.wait) != 0 {
		t.Errorf("%d batches are left", len(c.wait))
	}
}

// sizes lists the sizes of the records of a batch.
func sizes(b *Batch) string {
	var all []string
	for _, r := range b.Records() {
		all = append(all, strconv.Itoa(len(r)))
	}
	return strings.Join(all, " ")
}
