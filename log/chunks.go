package log

import (
	"slices"

	"github.com/micro/go-platform/internal/outlet"
)

// chunks are the records that wait, one behind the other in batches.
type chunks struct {
	batch int      // bytes of a batch, unless one record is larger
	wait  []*Batch // the last one collects
	free  []*Batch // were written, to collect next
}

// maxFree is how many empty batches are kept.
const maxFree = 16

func (c *chunks) Add(record []byte, n int) {
	last := len(c.wait) - 1
	if last < 0 || len(c.wait[last].Data)+n > c.batch {
		c.wait = append(c.wait, c.empty(n))
		last++
	}
	b := c.wait[last]
	b.Data = append(b.Data, record...)
	b.Ends = append(b.Ends, len(b.Data))
}

// empty returns an empty batch with room for n bytes.
func (c *chunks) empty(n int) *Batch {
	if last := len(c.free) - 1; last >= 0 && n <= c.batch {
		b := c.free[last]
		c.free = c.free[:last]
		return b
	}
	return &Batch{Data: make([]byte, 0, max(c.batch, n)), Ends: make([]int, 0, 64)}
}

func (c *chunks) Take() (*Batch, outlet.Count) {
	b := c.wait[0]
	c.wait = slices.Delete(c.wait, 0, 1)
	return b, outlet.Count{Items: uint64(b.Len()), Bytes: uint64(len(b.Data))}
}

func (c *chunks) Done(b *Batch) {
	if cap(b.Data) == c.batch && len(c.free) < maxFree {
		b.Data, b.Ends = b.Data[:0], b.Ends[:0]
		c.free = append(c.free, b)
	}
}

// Rest leaves b as it is.
func (c *chunks) Rest(b *Batch, n int) (*Batch, int) {
	from := b.Ends[n-1]
	ends := slices.Clone(b.Ends[n:])
	for i := range ends {
		ends[i] -= from
	}
	return &Batch{Data: b.Data[from:], Ends: ends}, from
}
