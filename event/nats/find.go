package nats

import (
	"context"
	"errors"
	"hash/maphash"
	"slices"
	"time"

	"github.com/micro/go-platform/event"
	eventdriver "github.com/micro/go-platform/event/driver"
	"github.com/micro/go-platform/internal/conn/nats"
	"github.com/micro/go-platform/internal/mutex"
	"github.com/nats-io/nats.go/jetstream"
)

// finder is what a process remembers of the records for look-ups by ID and RootID: a hash
// of 32 bits of each, by sequence. The first look-up reads the stream, later ones only what
// is new. A look-up scans the hashes, which for a million records takes less time than one
// request, and reads the records whose hash fits. Publishing costs no more for it.
type finder struct {
	remembered  uint64 // how many records it knows at most, the newest
	learnAtOnce int    // how many it reads in one call

	mu    mutex.Mutex
	seed  maphash.Seed
	made  time.Time // when the stream was made that it has read
	first uint64    // the number of the first hash
	ids   []uint32  // 0: no record
	roots []uint32
}

const (
	remembered    = 4 << 20 // 32 MB
	learnAtOnce   = 100 << 10
	worthLearning = 1000 // how many are read for a query that asks for some types only
)

func newFinder(c config) *finder {
	return &finder{remembered: c.remembered, learnAtOnce: c.learnAtOnce, seed: maphash.MakeSeed()}
}

func (f *finder) hash(s string) uint32 { return max(uint32(maphash.String(f.seed, s)), 1) }

// next is the number of the first record that it has not seen.
func (f *finder) next() uint64 { return f.first + uint64(len(f.ids)) }

// learn reads what is new, or some of it.
func (f *finder) learn(ctx context.Context, d *driver, s jetstream.Stream) (jetstream.StreamState, error) {
	info, err := s.Info(ctx)
	if err != nil {
		return jetstream.StreamState{}, nats.ReadError(d.lost(err))
	}
	first, last := max(info.State.FirstSeq, 1), info.State.LastSeq
	if last >= f.remembered {
		first = max(first, last-f.remembered+1)
	}
	if !f.made.Equal(info.Created) || last+1 < f.next() || f.next() < first {
		f.made, f.first, f.ids, f.roots = info.Created, first, nil, nil
	}
	if drop := first - min(first, f.first); drop > f.remembered/8 { // the arrays are made again now and then
		f.first, f.ids, f.roots = first, slices.Clone(f.ids[drop:]), slices.Clone(f.roots[drop:])
	}
	w := &walk{s: s, after: f.next() - 1, last: last, most: f.learnAtOnce, visit: func(m seen) {
		f.skip(m.seq)
		var id, root uint32
		if r, err := eventdriver.ParseRecord(string(m.data)); err == nil {
			id, root = f.hash(r.ID), f.hash(r.RootID)
		}
		f.ids, f.roots = append(f.ids, id), append(f.roots, root)
	}}
	err = w.run(ctx)
	if err == nil {
		f.skip(w.after + 1)
	}
	return info.State, d.lost(err)
}

// skip notes that there are no records before a number.
func (f *finder) skip(to uint64) {
	for f.next() < to {
		f.ids, f.roots = append(f.ids, 0), append(f.roots, 0)
	}
}

// looksUp reports whether a query is one that the finder answers.
func looksUp(q event.ReadRequest) bool { return q.Filter.ID != "" || q.Filter.RootID != "" }

// find reads a page of a look-up, forward after a number or backward before it. ok is
// false if the finder does not know the place, or a scan takes less.
func (d *driver) find(ctx context.Context, q event.ReadRequest, place uint64, page event.Page) (_ event.Page, ok bool, err error) {
	s, err := d.stream(ctx)
	if err != nil {
		return page, false, err
	}
	list, next, more, err := d.finder.look(ctx, d, s, q, place)
	if next == 0 || err != nil || dense(list, place) {
		return page, false, err
	}
	page.Next, page.More = format(next), more
	for _, n := range list {
		m, err := s.GetMsg(ctx, n)
		if errors.Is(err, jetstream.ErrMsgNotFound) { // removed since
			continue
		}
		if err != nil {
			return page, false, nats.ReadError(d.lost(err))
		}
		r, err := eventdriver.ParseRecord(string(m.Data))
		if err != nil || !q.Filter.Match(r) {
			continue
		}
		r.Position = format(n)
		page.Records = append(page.Records, r)
	}
	return page, true, nil
}

// dense reports whether so many of the records from a place on are meant that a scan, which
// reads many with one request, takes less than a request for each.
func dense(list []uint64, place uint64) bool {
	if len(list) < 16 {
		return false
	}
	last := list[len(list)-1]
	return max(last, place)-min(last, place) < 8*uint64(len(list))
}

// look returns the numbers of up to a page of records that may be meant, where the next
// page begins, and whether there may be one. next is 0 if it does not know the place.
func (f *finder) look(ctx context.Context, d *driver, s jetstream.Stream, q event.ReadRequest, place uint64) (list []uint64, next uint64, more bool, err error) {
	err = f.mu.Lock(ctx)
	if err != nil {
		return nil, 0, false, err
	}
	defer f.mu.Unlock()
	if d.filters(q.Filter.Types) != nil && q.Filter.ID == "" && s.CachedInfo().State.LastSeq > f.next()+worthLearning {
		return nil, 0, false, nil // the records of the types may be few
	}
	st, err := f.learn(ctx, d, s)
	if err != nil {
		return nil, 0, false, err
	}
	hashes, want := f.roots, f.hash(q.Filter.RootID)
	if q.Filter.ID != "" {
		hashes, want = f.ids, f.hash(q.Filter.ID)
	}
	n := place + 1
	if q.Reverse {
		n = place - 1
	}
	for n >= f.first && n < f.next() {
		next = n
		if hashes[n-f.first] == want {
			list = append(list, n)
			if len(list) == q.Max {
				return list, n, true, nil
			}
		}
		if q.Reverse {
			n--
		} else {
			n++
		}
	}
	if q.Reverse {
		return list, next, next > st.FirstSeq, nil
	}
	return list, next, next < st.LastSeq, nil
}
