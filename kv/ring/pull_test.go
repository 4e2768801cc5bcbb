package ring

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

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
	for p := range uint16(partitions) {
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
			if more && !at.after(last) {
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

// TestAPageCostsAFewWalks: a peer that asks for a slice of very many gets the next
// page's cursor, not an answer that walks a shard for each of them.
func TestAPageCostsAFewWalks(t *testing.T) {
	leak.Check(t)
	n := newCluster(t, "a").nodes["a"]
	n.store.merge("k", record{version: n.clock.next(0), value: []byte("v")})
	p := partition(hash("k"))
	want := cursor{slices: maxSlices, slice: uint32(n.store.shards() + moreWalks)}
	for name, c := range map[string]struct {
		from cursor
		more bool
		next cursor
	}{
		"all of each shard":         {cursor{slices: 1}, false, cursor{shard: uint32(n.store.shards()), slices: 1}},
		"as many slices as allowed": {cursor{slices: maxSlices}, true, want},
		"the last slices, and the other shards": {
			cursor{slices: maxSlices, slice: maxSlices - moreWalks - 1}, false, cursor{shard: uint32(n.store.shards()), slices: 1}},
		"one slice more": {
			cursor{slices: maxSlices, slice: maxSlices - moreWalks - 2}, true, cursor{shard: uint32(n.store.shards()) - 1, slices: 1}},
	} {
		body := putU64(putU16(c.from.put(putU64(nil, n.v.Load().epoch)), p), 0)
		status, reply := n.listing(&reader{b: body}, pageSize)
		r := &reader{b: reply}
		r.bool()
		more, next := r.bool(), r.cursor()
		if status != stOK || more != c.more || next != c.next {
			t.Errorf("%s: status %d, more %v from %+v, want %v from %+v", name, status, more, next, c.more, c.next)
		}
	}
}

// TestShortPagesEnd: a peer whose pages go forward, and bring nothing, is not asked for
// all that a cursor can count. Pages that bring something may be many.
func TestShortPagesEnd(t *testing.T) {
	leak.Check(t)
	n := newCluster(t, "a").nodes["a"]
	for name, c := range map[string]struct {
		pages int
		size  int // of a page
		want  error
	}{
		"as many as allowed": {shortPages, 0, nil},
		"one more":           {shortPages + 1, 0, errFrame},
		"longer ones":        {4 * shortPages, pageSize / 8, nil},
	} {
		t.Run(name, func(t *testing.T) {
			asked := 0
			listed := putU64(putBytes(nil, strings.Repeat("k", c.size)), 0) // a version that is not newer
			err := pullFrom(t, n.Node, func() []byte {
				asked++
				page := cursor{shard: uint32(asked), slices: 1}.put(putBool(putBool(nil, true), asked < c.pages))
				if c.size > 0 {
					page = append(page, listed...)
				}
				return page
			})
			if !errors.Is(err, c.want) || asked != c.pages {
				t.Errorf("%v after %d pages, want %v after %d", err, asked, c.want, c.pages)
			}
		})
	}
}

// pullFrom compares with a peer that answers with the given pages.
func pullFrom(t *testing.T, n *Node, page func() []byte) error {
	l := linkTo(t, n, "b", func(byte) (byte, []byte) { return stOK, page() })
	v := n.newView(n.v.Load().table, true, []string{"b"}, map[string]*link{"b": l}, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	_, err := n.pull(ctx, v, "b", putU64(putU16(nil, 0), n.store.digests[0].Load()), false)
	return err
}

// linkTo is a link to a peer that gives these answers until the test ends.
func linkTo(t *testing.T, n *Node, id string, answer func(op byte) (status byte, body []byte)) *link {
	here, there := net.Pipe()
	var peer sync.WaitGroup
	peer.Go(func() {
		in := frames{r: bufio.NewReaderSize(there, bufferSize)}
		for {
			number, op, _, err := in.next()
			if err != nil {
				return
			}
			status, body := answer(op)
			if _, err := there.Write(appendFrame(nil, number, status, body)); err != nil {
				return
			}
		}
	})
	live := newConn(newWire(here))
	peer.Go(live.flush)
	peer.Go(func() { live.receive(bufio.NewReaderSize(here, bufferSize)) })
	l := &link{n: n, id: id}
	l.conn.Store(live)
	t.Cleanup(func() {
		live.fail()
		there.Close()
		peer.Wait()
	})
	return l
}

// TestAFaultyPeersPagesEnd: a peer whose pages do not go forward holds up
// nobody's comparison.
func TestAFaultyPeersPagesEnd(t *testing.T) {
	leak.Check(t)
	c := newCluster(t, "a")
	n := c.nodes["a"]
	first := cursor{slices: 1}
	for name, test := range map[string]struct {
		pages []cursor // which pages say what follows them; the last one forever
		want  error
	}{
		"forward":                         {[]cursor{{shard: 1, slices: 1}, {shard: 1, slices: 4, slice: 1}, {shard: 2, slices: 1}}, nil},
		"the same":                        {[]cursor{first}, errFrame},
		"the same, in halves":             {[]cursor{{slices: 2}}, errFrame},
		"back":                            {[]cursor{{shard: 2, slices: 1}, {shard: 1, slices: 1}}, errFrame},
		"back in a shard":                 {[]cursor{{slices: 4, slice: 3}, {slices: 2, slice: 1}}, errFrame},
		"no slices":                       {[]cursor{{shard: 1}}, errFrame},
		"too many slices":                 {[]cursor{{slices: 2 * maxSlices, slice: 1}}, errFrame},
		"slices that are no power of two": {[]cursor{{slices: 3, slice: 1}}, errFrame},
		"no such slice":                   {[]cursor{{slices: 2, slice: 2}}, errFrame},
		"beyond all shards":               {[]cursor{{shard: maxShards + 1, slices: 1}}, errFrame},
	} {
		t.Run(name, func(t *testing.T) {
			asked := 0
			err := pullFrom(t, n.Node, func() []byte {
				at := test.pages[min(asked, len(test.pages)-1)]
				asked++
				more := test.want != nil || asked < len(test.pages)
				return at.put(putBool(putBool(nil, true), more))
			})
			if !errors.Is(err, test.want) || asked != len(test.pages) {
				t.Errorf("%v after %d pages, want %v after %d", err, asked, test.want, len(test.pages))
			}
		})
	}
}
