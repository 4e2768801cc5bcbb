package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/micro/go-platform"
	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/inbox"
	"github.com/micro/go-platform/event/outbox"
	"github.com/micro/go-platform/examples/shop/shoppb"
	wgrpc "github.com/micro/go-platform/wrapper/grpc"
)

// orders takes orders. An order and the event that says so are one transaction,
// and so are the event that says what became of its payment and the order.
type orders struct {
	db        db.DB
	orders    *db.Collection[Order]
	outbox    *outbox.Outbox
	inbox     *inbox.Inbox
	catalogue shoppb.CatalogueClient
	features  *config.Binding[Features]
}

// Order is what somebody wants, and what became of it.
type Order struct {
	User   string `json:"user"`
	Items  Cart   `json:"items"`
	Cents  int64  `json:"cents"`
	Status string `json:"status" db:"status"` // placed, then paid or refused
}

func runOrders(ctx context.Context, s *shop, in instance) (err error) {
	app, err := s.app(ctx, in)
	if err != nil {
		return err
	}
	client, err := wgrpc.NewClient(app.Wrapper(), "catalogue", grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return errors.Join(err, app.Close(ctx))
	}
	defer client.Close()
	o := &orders{db: app.DB(), catalogue: shoppb.NewCatalogueClient(client)}
	err = o.open(ctx, s, app.Logger("outbox"))
	if err != nil {
		return errors.Join(err, app.Close(ctx))
	}
	defer o.features.Close()
	_, err = app.Event().Subscribe(ctx, o.settled, event.Types("payment.*"), event.Group("orders"), event.From(event.Beginning()),
		event.AckWait(5*time.Second)) // after which others handle what a dead instance had
	if err != nil {
		return errors.Join(err, app.Close(ctx))
	}
	mux, l := http.NewServeMux(), app.Logger("http")
	mux.HandleFunc("PUT /orders/{id}", handle(l, o.place))
	mux.HandleFunc("GET /orders/{id}", handle(l, o.get))
	return app.Run(ctx, platform.Listener(in.listener, platform.HTTP("", mux)),
		platform.Job(func(ctx context.Context) error { return o.outbox.Relay(ctx, app.Event()) }),
		platform.Job(func(ctx context.Context) error { return o.lead(ctx, app, in.id) }))
}

func (o *orders) open(ctx context.Context, s *shop, l *slog.Logger) (err error) {
	o.orders, err = collection[Order](ctx, o.db, "orders", db.Index("status"))
	if err != nil {
		return err
	}
	o.outbox, err = outbox.New(ctx, s.database, outbox.WithLogger(l))
	if err != nil {
		return err
	}
	o.inbox, err = inbox.New(ctx, s.database, "orders")
	if err != nil {
		return err
	}
	o.features, err = config.Bind[Features](s.config, "features")
	return err
}

// place takes an order under the id that the caller chose: whoever sends it
// twice, because the first answer was lost, has ordered once.
func (o *orders) place(r *http.Request) (any, error) {
	var order Order
	if err := decode(r, &order); err != nil || order.User == "" || len(order.Items) == 0 || len(order.Items) > maxProducts {
		return nil, bad("want a user and items")
	}
	ctx, id := r.Context(), r.PathValue("id")
	ask := &shoppb.Items{}
	for product, count := range order.Items {
		if count < 1 || count > maxCount {
			return nil, bad("count: want a number from 1 to 100")
		}
		ask.Items = append(ask.Items, &shoppb.Item{Product: product, Count: count})
	}
	price, err := o.catalogue.Quote(ctx, ask)
	if err != nil {
		return nil, err
	}
	order.Cents = price.Cents * int64(100-o.features.Load().Discount) / 100
	order.Status = "placed"
	data, err := json.Marshal(order)
	if err != nil {
		return nil, err
	}
	err = o.db.Tx(ctx, func(ctx context.Context, tx db.DB) error {
		inside, err := o.orders.In(ctx, tx)
		if err != nil {
			return err
		}
		if _, err := inside.Create(ctx, id, order); err != nil {
			return err
		}
		statements, _ := db.SQL(tx)
		// The relay of another service may publish it: the record says whose it is.
		return o.outbox.Publish(ctx, statements, &event.Record{Type: "order.placed", Source: "orders", Subject: id, ContentType: "application/json", Data: data})
	}, db.Isolation(db.LevelSnapshot)) // it decides by one record alone, so that is enough
	if errors.Is(err, db.ErrExists) {
		doc, err := o.orders.Get(ctx, id)
		if err == nil && doc.Value.User != order.User {
			return nil, &failure{http.StatusConflict, "the id is taken"}
		}
		return doc.Value, err
	}
	if err != nil {
		return nil, err
	}
	o.outbox.Poke()
	return order, nil
}

func (o *orders) get(r *http.Request) (any, error) {
	doc, err := o.orders.Get(r.Context(), r.PathValue("id"))
	return doc.Value, err
}

// settled notes what became of a payment: once, however often the event comes.
func (o *orders) settled(ctx context.Context, r *event.Record) error {
	return o.db.Tx(ctx, func(ctx context.Context, tx db.DB) error {
		statements, _ := db.SQL(tx)
		first, err := o.inbox.Note(ctx, statements, r)
		if err != nil || !first {
			return err
		}
		inside, err := o.orders.In(ctx, tx)
		if err != nil {
			return err
		}
		_, err = inside.Modify(ctx, r.Subject, func(order *Order) error {
			order.Status = r.Type[len("payment."):]
			return nil
		})
		return err
	}, db.Isolation(db.LevelSnapshot))
}
