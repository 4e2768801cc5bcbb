package ring

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/micro/go-platform/internal/leak"
)

// TestAListingIsOneWalk: each page goes on where the one before has ended, also
// where a shard has more than a page has room for, and no key comes twice.
func TestAListingIsOneWalk(t *testing.T) {
	leak.Check(t)
	c := newCluster(t, "a")
	n := c.nodes["a"]
	const keys = 1000
	for i := range keys {
		n.store.merge(strings.Repeat("long ", 10)+fmt.Sprint(i), record{version: n.clock.next(0), value: []byte("v")})
	}
	for i := range 100 {
		n.store.merge(fmt.Sprint("dead ", i), record{version: n.clock.next(0), dead: true})
	}
	var digests []byte
	for p := range uint16(Partitions) {
		digests = putU64(putU16(digests, p), 0)
	}
	for _, size := range []int{500, 4 << 10, pageSize} {
		seen, pages, bytesAll := map[string]int{}, 0, 0
		last := cursor{slices: 1}
		for more := true; more; pages++ {
			status, reply := n.listing(&reader{b: append(last.put(putU64(nil, n.v.Load().epoch)), digests...)}, size)
			if status != stOK {
				t.Fatalf("pages of %d: status %d", size, status)
			}
			r := &reader{b: reply}
			r.bool()
			more = r.bool()
			at := r.cursor()
			if more && !at.behind(last) {
				t.Fatalf("pages of %d: the page from %+v ends at %+v", size, last, at)
			}
			last = at
			if len(reply) > 2*size {
				t.Errorf("a page of %d bytes, want about %d", len(reply), size)
			}
			bytesAll += len(reply)
			for r.more() {
				seen[r.text()]++
				r.u64()
			}
			if r.bad {
				t.Fatalf("pages of %d: a page that cannot be read", size)
			}
		}
		if len(seen) != keys+100 {
			t.Errorf("pages of %d: %d keys, want %d", size, len(seen), keys+100)
		}
		for key, times := range seen {
			if times != 1 {
				t.Fatalf("pages of %d: %q came %d times", size, key, times)
			}
		}
		if size == pageSize && pages != 1 || size == 4<<10 && pages > 4*bytesAll/size {
			t.Errorf("pages of %d: %d for %d bytes", size, pages, bytesAll)
		}
	}
}

// behind reports that c begins where b or what follows it ends.
func (c cursor) behind(b cursor) bool {
	return c.shard > b.shard || c.shard == b.shard && uint64(c.slice)*uint64(b.slices) > uint64(b.slice)*uint64(c.slices)
}

// TestANewNodeGetsAllPages hands more over than a page has room for.
func TestANewNodeGetsAllPages(t *testing.T) {
	leak.Check(t)
	c := newCluster(t, "a")
	n := c.nodes["a"]
	const keys, long = 20_000, 8
	key := strings.Repeat("k", 60)
	for i := range keys {
		n.store.merge(fmt.Sprint(key, i), record{version: n.clock.next(0), value: fmt.Append(nil, i)})
	}
	for i := range long {
		n.store.merge(fmt.Sprint("long ", i), record{version: n.clock.next(0), value: bytes.Repeat([]byte{byte(i)}, maxValue)})
	}
	c.join("b")
	c.settle()
	b := c.nodes["b"]
	for i := range keys {
		if r := b.store.latest(fmt.Sprint(key, i)); string(r.value) != fmt.Sprint(i) {
			t.Fatalf("key %d is %q on the new node", i, r.value)
		}
	}
	for i := range long {
		if r := b.store.latest(fmt.Sprint("long ", i)); !bytes.Equal(r.value, bytes.Repeat([]byte{byte(i)}, maxValue)) {
			t.Fatalf("long value %d has %d bytes on the new node", i, len(r.value))
		}
	}
}
