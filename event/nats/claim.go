package nats

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/micro/go-platform/internal/conn/nats"
	"github.com/micro/go-platform/internal/fault"
	gonats "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// No request of NATS changes two streams. This is how a record gets from the one of the
// entries to the one of the records, once, whoever is killed or stands still meanwhile:
//
//  1. claim: the entry is written again with a claim: a word that nobody else uses, and
//     the number of the fence.
//  2. publish: the record, with the word as its message ID, on the condition that the
//     fence has that number.
//  3. remove: the entry is purged, or written again with its next time.
//
// The fence is a message of the records' stream that is no record. Who finds a claim and
// can't wait for its process to go on publishes a new one. From then on the server
// refuses what that process has still under way, so that it is certain whether the
// record is there: it is looked for between where the stream ended before the claim and
// the fence. If it is there the entry is removed, or else written without the claim.
//
// Who cancels or replaces an entry settles the claim first in the same way.

// claim is what a process is about to publish for an entry.
type claim struct {
	word  string
	fence uint64
	after uint64    // the record will be after this
	next  time.Time // when the entry is due again; zero: never
}

func (c *claim) String() string {
	next := int64(0)
	if !c.next.IsZero() {
		next = c.next.UnixMilli()
	}
	return fmt.Sprintf("%s %d %d %d", c.word, c.fence, c.after, next)
}

func parseClaim(s string) *claim {
	fields := strings.Fields(s)
	if len(fields) != 4 {
		return nil
	}
	c := &claim{word: fields[0]}
	var err, err2, err3 error
	var next int64
	c.fence, err = strconv.ParseUint(fields[1], 10, 64)
	c.after, err2 = strconv.ParseUint(fields[2], 10, 64)
	next, err3 = strconv.ParseInt(fields[3], 10, 64)
	if errors.Join(err, err2, err3) != nil {
		return nil
	}
	if next != 0 {
		c.next = time.UnixMilli(next).UTC()
	}
	return c
}

// fenceSubject is one that no type has: see token.
func (d *driver) fenceSubject() string { return d.subject + "%later" }

// fence returns the number of the fence, making it if it isn't there.
func (d *driver) fence(ctx context.Context) (uint64, error) {
	for {
		s, err := d.stream(ctx)
		if err != nil {
			return 0, err
		}
		m, err := s.GetLastMsgForSubject(ctx, d.fenceSubject())
		if err == nil {
			return m.Sequence, nil
		}
		if !errors.Is(err, jetstream.ErrMsgNotFound) {
			return 0, nats.ReadError(d.lost(err))
		}
		if err := d.raise(ctx, 0); err != nil {
			return 0, err
		}
	}
}

// raise publishes a new fence if the one there has a number.
func (d *driver) raise(ctx context.Context, from uint64) error {
	r := d.send(ctx, []*gonats.Msg{gonats.NewMsg(d.fenceSubject())}, jetstream.WithExpectLastSequencePerSubject(from))[0]
	if r.refused { // another was faster
		return nil
	}
	return nats.WriteError(d.lost(r.err))
}

// settle sees to a claim, and reports whether the entry is without it now. Given the
// server's time, a process that has made it a short time ago is left alone.
func (d *driver) settle(ctx context.Context, s jetstream.Stream, e *entry, now time.Time, patience time.Duration) (bool, error) {
	fence, err := d.fence(ctx)
	if err != nil {
		return false, err
	}
	if fence == e.claim.fence {
		if now.Sub(e.stored) < patience {
			return false, nil
		}
		if err := d.raise(ctx, fence); err != nil {
			return false, err
		}
		fence, err = d.fence(ctx)
		if err != nil {
			return false, err
		}
	}
	published, err := d.published(ctx, e, fence)
	if err != nil {
		return false, err
	}
	if published {
		return true, d.finish(ctx, s, e)
	}
	again := *e
	again.claim = nil
	_, err = d.put(ctx, s, &again, e.seq) // unless another was faster
	return true, err
}

// finish removes an entry whose record is published, or has it come again.
func (d *driver) finish(ctx context.Context, s jetstream.Stream, e *entry) error {
	if e.claim.next.IsZero() {
		return d.purge(ctx, s, e.key, e.seq)
	}
	again := *e
	again.Due, again.claim = e.claim.next, nil
	_, err := d.put(ctx, s, &again, e.seq)
	return err
}

// published looks for the record of a claim before the fence, which is not the claim's.
func (d *driver) published(ctx context.Context, e *entry, fence uint64) (bool, error) {
	if e.Record == nil || e.claim.after >= fence { // what it may publish is refused
		return false, nil
	}
	c, err := d.open(ctx, jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: e.claim.after + 1, HeadersOnly: true,
		FilterSubjects: []string{d.subject + subject(e.Record.Type), d.fenceSubject()},
	})
	if err != nil {
		return false, err
	}
	defer c.close(ctx)
	for order := uint64(0); ; {
		before, found, passed := order, false, false
		// No more than there is: the server keeps a request for more until its time is over.
		left := max(c.c.CachedInfo().NumPending, order+1) - order
		err := ready(ctx, order == 0, func() error {
			batch, err := c.c.Fetch(int(min(left, 1000)), jetstream.FetchMaxWait(answerWithin))
			if err != nil {
				return err
			}
			for m := range batch.Messages() {
				md, err := m.Metadata()
				if err != nil || md.Sequence.Consumer != order+1 {
					return fault.Markf(fault.Unavailable, "a message was lost on the way")
				}
				order++
				found = found || m.Headers().Get(jetstream.MsgIDHeader) == e.claim.word
				passed = passed || md.Sequence.Stream >= fence
			}
			if order == before {
				return errors.Join(batch.Error(), ctx.Err())
			}
			return nil
		})
		switch {
		case found || passed:
			return found, nil
		case err != nil:
			return false, nats.ReadError(err)
		case order == before:
			return false, fault.Markf(fault.Unavailable, "the records end before the fence")
		}
	}
}
