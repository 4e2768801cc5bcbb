package nats

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/micro/go-platform/event"
	eventdriver "github.com/micro/go-platform/event/driver"
	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/conn/nats"
	"github.com/micro/go-platform/internal/fault"
	gonats "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// What is published later is in a stream of its own, so that it takes no positions
// among the records: one subject for each ID, of which the last message counts.
//
//	an entry   data: the ID, the recurrence and the record   header: when it is due
//	a claim    the same, and what its process is about to publish, see claim.go
//	a mark     that there is none any more
//
// Every message is published on the condition that the last one of its subject is the
// one that its publisher has seen. What is before it is purged then. A stream that
// keeps one message a subject by itself would be simpler, and wrong: the server does
// not write down what that limit removes, and after a crash finds it again if the
// message that took its place has been removed.

const (
	dueHeader   = "Due" // in ms; of a mark, when it is purged at the latest
	claimHeader = "Claim"
	goneHeader  = "Gone"
)

// plan is where entries are.
type plan struct {
	store
	agenda agenda
	due    map[string]*entry // by ID, of the last call of Due

	claimLasts time.Duration // how long who publishes what is due is left alone by who would do the same
}

// entry is the last message of a subject.
type entry struct {
	event.Scheduled
	key    key
	seq    uint64
	stored time.Time
	data   []byte
	gone   bool
	claim  *claim
}

// schedules returns the stream of the entries. If it isn't there, schedules creates it or
// returns nil.
func (d *driver) schedules(ctx context.Context, create bool) (jetstream.Stream, error) {
	return d.look(ctx, &d.plan.store, create)
}

// planLost is lost of the stream of the entries.
func (d *driver) planLost(err error) error { return d.lose(&d.plan.store, err) }

// canSchedule says why the server can't.
func (d *driver) canSchedule() error {
	version := d.nc.ConnectedServerVersion()
	if version == "" {
		return fault.Markf(fault.Unavailable, "not connected")
	}
	if !atLeast(version, 2, 11) {
		return fault.Markf(fault.Unsupported, "scheduling needs NATS 2.11, the server is %s", version)
	}
	return nil
}

// atLeast reports whether a version is a number or above.
func atLeast(version string, major, minor int) bool {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return false
	}
	a, err := strconv.Atoi(parts[0])
	b, err2 := strconv.Atoi(parts[1])
	return err == nil && err2 == nil && (a > major || a == major && b >= minor)
}

// planned makes what is stored for an entry.
func (d *driver) planned(e *entry) *gonats.Msg {
	m := gonats.NewMsg(d.plan.subject + e.key.String())
	m.Data = e.data
	m.Header.Set(dueHeader, strconv.FormatInt(e.Due.UnixMilli(), 10))
	if e.claim != nil {
		m.Header.Set(claimHeader, e.claim.String())
	}
	if e.gone {
		m.Header.Set(goneHeader, "1")
	}
	return m
}

// encode makes the data of an entry.
func encode(s event.Scheduled) []byte {
	var b []byte
	for _, text := range []string{s.ID, s.Recurrence} {
		b = append(binary.AppendUvarint(b, uint64(len(text))), text...)
	}
	return eventdriver.AppendRecord(b, s.Record)
}

// decode reads a message. One that is none of ours is nil.
func (d *driver) decode(m *jetstream.RawStreamMsg) *entry {
	due, err := strconv.ParseInt(m.Header.Get(dueHeader), 10, 64)
	key, ok := parseKey(strings.TrimPrefix(m.Subject, d.plan.subject))
	if err != nil || !ok {
		return nil
	}
	e := &entry{key: key, seq: m.Sequence, stored: m.Time, data: m.Data, gone: m.Header.Get(goneHeader) != ""}
	e.Due, e.Version = time.UnixMilli(due).UTC(), format(m.Sequence)
	e.claim = parseClaim(m.Header.Get(claimHeader))
	rest := string(m.Data)
	for _, text := range []*string{&e.ID, &e.Recurrence} {
		n, size := binary.Uvarint([]byte(rest))
		if size <= 0 || n > uint64(len(rest)-size) {
			if e.gone {
				return e
			}
			return nil
		}
		*text, rest = rest[size:size+int(n)], rest[size+int(n):]
	}
	e.Record, e.Err = eventdriver.ParseRecord(rest)
	return e
}

// last returns the last message of a subject, or nil.
func (d *driver) last(ctx context.Context, s jetstream.Stream, k key) (*entry, error) {
	m, err := s.GetLastMsgForSubject(ctx, d.plan.subject+k.String())
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, nats.ReadError(d.planLost(err))
	}
	e := d.decode(m)
	if e == nil { // somebody else's: it is written over
		e = &entry{key: k, seq: m.Sequence, stored: m.Time, gone: true}
	}
	return e, nil
}

// put publishes what takes the place of the message with the number before, and has
// that one and those before it purged. ok is false if something else is there.
func (d *driver) put(ctx context.Context, s jetstream.Stream, e *entry, before uint64) (ok bool, err error) {
	r := d.send(ctx, []*gonats.Msg{d.planned(e)}, jetstream.WithExpectLastSequencePerSubject(before))[0]
	if r.refused {
		return false, nil
	}
	if r.err != nil {
		return false, nats.WriteError(d.planLost(r.err))
	}
	e.seq = r.seq
	if before > 0 {
		d.purge(ctx, s, e.key, r.seq-1) // what is left of it does not count, and goes with the next
	}
	return true, nil
}

// purge removes the messages of a subject up to a number.
func (d *driver) purge(ctx context.Context, s jetstream.Stream, k key, upto uint64) error {
	return nats.WriteError(d.planLost(s.Purge(ctx, jetstream.WithPurgeSubject(d.plan.subject+k.String()), jetstream.WithPurgeSequence(upto+1))))
}

// result is what became of a message.
type result struct {
	seq     uint64
	refused bool // the condition did not hold: certainly not stored
	err     error
}

// send publishes messages on conditions, and returns what became of each.
func (d *driver) send(ctx context.Context, ms []*gonats.Msg, opts ...jetstream.PublishOpt) []result {
	results := make([]result, len(ms))
	futures := make([]jetstream.PubAckFuture, len(ms))
	opts = append(slices.Clone(opts), jetstream.WithRetryAttempts(0))
	for i, m := range ms {
		futures[i], results[i].err = d.js.PublishMsgAsync(m, opts...)
	}
	for i, f := range futures {
		if f == nil {
			continue
		}
		select {
		case ack := <-f.Ok():
			results[i].seq = ack.Sequence
		case err := <-f.Err():
			results[i].err, results[i].refused = err, nats.Conflict(err)
		case <-ctx.Done():
			results[i].err = ctx.Err()
		}
	}
	return results
}

// scheduleAtOnce is how many entries are on their way together.
const scheduleAtOnce = 200

func (d *driver) Schedule(ctx context.Context, entries []event.Scheduled) error {
	if err := d.canSchedule(); err != nil {
		return err
	}
	records, err := d.stream(ctx)
	if err != nil {
		return err
	}
	s, err := d.schedules(ctx, true)
	if err != nil {
		return err
	}
	list := make([]*entry, len(entries))
	messages := make([]*gonats.Msg, len(entries))
	for i, e := range entries { // all before the first is sent
		if _, err := d.message(records, e.Record); err != nil {
			return err
		}
		list[i] = &entry{Scheduled: e, key: keyOf(e.ID), data: encode(e)}
		messages[i] = d.planned(list[i])
		size := int64(len(messages[i].Data) + planHeader)
		if limit := d.nc.MaxPayload(); limit > 0 && size > limit {
			return fault.Markf(fault.TooLarge, "the message has %d bytes until it is due, the server's max_payload is %d", size, limit)
		}
	}
	stored := 0
	for len(list) > 0 {
		n := min(len(list), scheduleAtOnce)
		var failed error
		for i, r := range d.send(ctx, messages[:n], jetstream.WithExpectLastSequencePerSubject(0)) {
			if r.refused { // there is one with this ID
				r.err = d.replace(ctx, s, list[i])
			}
			if r.err == nil {
				stored++
				continue
			}
			err := nats.WriteError(d.planLost(r.err))
			if failed == nil || errors.Is(err, fault.UnknownOutcome) && !errors.Is(failed, fault.UnknownOutcome) {
				failed = err
			}
		}
		if failed != nil && stored > 0 && errors.Is(failed, fault.Unavailable) {
			failed = fault.Mark(fault.UnknownOutcome, failed)
		}
		if failed != nil {
			return failed
		}
		list, messages = list[n:], messages[n:]
	}
	return nil
}

// planHeader is more than the headers of an entry and of a claim take.
const planHeader = 256

// replace puts an entry in the place of another.
func (d *driver) replace(ctx context.Context, s jetstream.Stream, e *entry) error {
	due := e.Due
	for {
		old, err := d.free(ctx, s, e.key)
		if err != nil {
			return err
		}
		e.Due = due
		before := uint64(0)
		if old != nil {
			before = old.seq
			if e.Recurrence != "" && e.Recurrence == old.Recurrence && !old.gone {
				e.Due = old.Due
			}
		}
		ok, err := d.put(ctx, s, e, before)
		if ok || err != nil {
			return err
		}
	}
}

// free returns the last message of a subject when nobody is publishing its record any
// more, or nil.
func (d *driver) free(ctx context.Context, s jetstream.Stream, k key) (*entry, error) {
	for {
		e, err := d.last(ctx, s, k)
		if err != nil || e == nil || e.claim == nil {
			return e, err
		}
		info, err := s.Info(ctx)
		if err != nil {
			return nil, nats.ReadError(d.planLost(err))
		}
		settled, err := d.settle(ctx, s, e, info.TimeStamp, waitForClaim)
		if err == nil && !settled {
			err = backoff.Sleep(ctx, askAgain)
		}
		if err != nil {
			return nil, err
		}
	}
}

const (
	waitForClaim = time.Second           // how long a call waits for a process that publishes
	askAgain     = 10 * time.Millisecond // meanwhile
	markLasts    = time.Minute           // a mark that could not be purged at once
)

func (d *driver) Unschedule(ctx context.Context, id string) error {
	if err := d.canSchedule(); err != nil {
		return err
	}
	s, err := d.schedules(ctx, false)
	if err != nil {
		return err
	}
	if s == nil {
		return fault.NotFound
	}
	for {
		old, err := d.free(ctx, s, keyOf(id))
		if err != nil {
			return err
		}
		if old == nil || old.gone {
			return fault.NotFound
		}
		mark := &entry{key: old.key, gone: true}
		mark.Due = time.Now().Add(markLasts)
		ok, err := d.put(ctx, s, mark, old.seq)
		if err != nil {
			return err
		}
		if ok {
			d.purge(ctx, s, mark.key, mark.seq)
			return nil
		}
	}
}

func (d *driver) Scheduled(ctx context.Context, from string, limit int) ([]event.Scheduled, string, error) {
	if err := d.canSchedule(); err != nil {
		return nil, "", err
	}
	s, err := d.schedules(ctx, false)
	if s == nil || err != nil {
		return nil, "", err
	}
	if _, err := d.plan.agenda.refresh(ctx, d, s); err != nil {
		return nil, "", err
	}
	rest, err := d.plan.agenda.after(from)
	if err != nil {
		return nil, "", err
	}
	var list []event.Scheduled
	var last item
	for len(rest) > 0 {
		if len(list) == limit {
			return list, last.String(), nil
		}
		it := rest.next()
		e, err := d.last(ctx, s, it.key)
		if err != nil {
			return nil, "", err
		}
		if e != nil && !e.gone && e.Due.UnixMilli() == it.due {
			list, last = append(list, e.Scheduled), it
		}
	}
	return list, "", nil
}
