package main

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc"

	"github.com/micro/go-platform"
	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/inbox"
	"github.com/micro/go-platform/event/outbox"
	"github.com/micro/go-platform/examples/shop/shoppb"
	wgrpc "github.com/micro/go-platform/wrapper/grpc"
)

// payment charges for orders that it hears of as events, and fails on purpose: a
// share of the attempts breaks, half of them when all is done, and is made again; a
// share of the payments is refused, and that is final.
type payment struct {
	shoppb.UnimplementedPaymentServer
	log              *slog.Logger
	db               db.DB
	charges          *db.Collection[Charge]
	outbox           *outbox.Outbox
	inbox            *inbox.Inbox
	broken, declined float64
}

// Charge is one payment. Two for one order would be one too many.
type Charge struct {
	Order string `json:"order" db:"order"`
	Paid  bool   `json:"paid"`
}

func runPayment(ctx context.Context, s *shop, in instance) error {
	app, err := s.app(ctx, in)
	if err != nil {
		return err
	}
	p := &payment{log: app.Logger("payment"), db: app.DB(), broken: s.broken, declined: s.declined}
	if err := p.open(ctx, s, app.Logger("outbox")); err != nil {
		return errors.Join(err, app.Close(ctx))
	}
	_, err = app.Event().Subscribe(ctx, p.charge, event.Types("order.placed"), event.Group("payment"), event.From(event.Beginning()),
		event.AckWait(5*time.Second), // after which others handle what a dead instance had
		event.MaxAttempts(0), event.Backoff(50*time.Millisecond, 5*time.Second))
	if err != nil {
		return errors.Join(err, app.Close(ctx))
	}
	return app.Run(ctx, platform.Listener(in.listener, wgrpc.NewServer("", func(g grpc.ServiceRegistrar) { shoppb.RegisterPaymentServer(g, p) })),
		platform.Job(func(ctx context.Context) error { return p.outbox.Relay(ctx, app.Event()) }))
}

func (p *payment) open(ctx context.Context, s *shop, l *slog.Logger) (err error) {
	p.charges, err = collection[Charge](ctx, p.db, "charges", db.Index("order"))
	if err != nil {
		return err
	}
	p.outbox, err = outbox.New(ctx, s.database, outbox.WithLogger(l))
	if err != nil {
		return err
	}
	p.inbox, err = inbox.New(ctx, s.database, "payment")
	return err
}

// charge handles order.placed: the note that it was handled, the charge, and the
// event that tells are one transaction. A real card network takes no part in it: it
// is asked before, with the order's id as the key by which it charges once.
func (p *payment) charge(ctx context.Context, r *event.Record) error {
	trouble := rand.Float64()
	if trouble < p.broken/2 {
		return errors.New("the card network does not answer")
	}
	c := Charge{Order: r.Subject, Paid: rand.Float64() >= p.declined}
	told := "payment.refused"
	if c.Paid {
		told = "payment.paid"
	}
	err := p.db.Tx(ctx, func(ctx context.Context, tx db.DB) error {
		statements, _ := db.SQL(tx)
		first, err := p.inbox.Note(ctx, statements, r)
		if err != nil || !first {
			return err
		}
		inside, err := p.charges.In(ctx, tx)
		if err != nil {
			return err
		}
		if _, err := inside.Create(ctx, "", c); err != nil {
			return err
		}
		return p.outbox.Publish(ctx, statements, &event.Record{Type: told, Source: "payment", Subject: r.Subject})
	}, db.Isolation(db.LevelSnapshot))
	p.outbox.Poke()
	if err == nil && trouble < p.broken {
		return errors.New("it was done, but the answer was lost")
	}
	return err
}

func (p *payment) Find(ctx context.Context, order *shoppb.Order) (*shoppb.Receipt, error) {
	for doc, err := range p.charges.Find(ctx, db.Where(db.Equal("order", order.Id)), db.Limit(1)) {
		if err != nil {
			return nil, answer(ctx, p.log, err)
		}
		receipt := &shoppb.Receipt{Order: order.Id, Paid: doc.Value.Paid}
		if !receipt.Paid {
			receipt.Reason = "the card was declined"
		}
		return receipt, nil
	}
	return &shoppb.Receipt{}, nil // no payment yet, which is no error
}
