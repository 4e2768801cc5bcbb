package nats

import (
	"context"
	"errors"
	"time"

	"github.com/micro/go-platform/internal/conn/nats"
	gonats "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// walk reads messages of a stream in order and misses none, even if the consumer's server
// is behind the leader, or a message is lost on the way.
type walk struct {
	s           jetstream.Stream
	after, last uint64 // it reads what is after the one, up to the other
	most        int    // how many it reads at most
	headersOnly bool   // if there are many, data is left out
	visit       func(seen)
}

// seen is a message.
type seen struct {
	seq     uint64
	subject string
	header  gonats.Header
	data    []byte
}

// readOneByOne is how many messages are read with a request each, by the leader, which
// has all. What is more is read by a consumer first.
const readOneByOne = 100

// run reads, and moves after.
func (w *walk) run(ctx context.Context) error {
	for w.after+readOneByOne < w.last && w.most > 0 {
		before := w.after
		if err := w.bulk(ctx); err != nil {
			return nats.ReadError(err)
		}
		if w.after == before {
			break
		}
	}
	for w.after < w.last && w.most > 0 {
		m, err := w.s.GetMsg(ctx, w.after+1, jetstream.WithGetMsgSubject(">"))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			w.after = w.last
			break
		}
		if err != nil {
			return nats.ReadError(err)
		}
		w.take(seen{m.Sequence, m.Subject, m.Header, m.Data})
	}
	return nil
}

func (w *walk) take(m seen) {
	w.visit(m)
	w.after = m.seq
	w.most--
}

// bulk reads many. It may stop early.
func (w *walk) bulk(ctx context.Context) error {
	c, err := w.s.CreateConsumer(ctx, reading(jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: w.after + 1, HeadersOnly: w.headersOnly,
	}))
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		w.s.DeleteConsumer(ctx, c.CachedInfo().Name)
	}()
	order, gap := uint64(0), false
	for w.most > 0 && w.after < w.last {
		before := order
		err := ready(ctx, order == 0, func() error {
			batch, err := c.FetchNoWait(min(w.most, 1000))
			if err != nil {
				return err
			}
			for m := range batch.Messages() {
				md, err := m.Metadata()
				if err != nil || md.Sequence.Consumer != order+1 { // one was lost
					gap = true
					return nil
				}
				order++
				if md.Sequence.Stream <= w.after {
					continue // a server that is behind begins where it is
				}
				w.take(seen{md.Sequence.Stream, m.Subject(), m.Headers(), m.Data()})
			}
			if order == before {
				return batch.Error()
			}
			return ctx.Err()
		})
		if err != nil || order == before || gap {
			return err
		}
	}
	return nil
}
