package main

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/micro/go-platform"
	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/examples/shop/shoppb"
	wgrpc "github.com/micro/go-platform/wrapper/grpc"
)

// catalogue answers over gRPC what there is and what it costs, from a database.
type catalogue struct {
	shoppb.UnimplementedCatalogueServer
	log      *slog.Logger
	version  string
	products *db.Collection[Product]
}

// Product is what the database has of one.
type Product struct {
	Name  string `json:"name" db:"name"`
	Cents int64  `json:"cents"`
}

// assortment is what a new shop sells.
var assortment = map[string]Product{
	"mug": {"Mug", 900}, "pen": {"Pen", 250}, "lamp": {"Lamp", 4900}, "book": {"Book", 2400}, "bag": {"Bag", 3100},
}

func runCatalogue(ctx context.Context, s *shop, in instance) error {
	app, err := s.app(ctx, in)
	if err != nil {
		return err
	}
	c := &catalogue{log: app.Logger("catalogue"), version: in.version}
	c.products, err = collection[Product](ctx, app.DB(), "products", db.Index("name"))
	if err != nil {
		return errors.Join(err, app.Close(ctx))
	}
	for id, p := range assortment {
		if _, err := c.products.Create(ctx, id, p); err != nil && !errors.Is(err, db.ErrExists) {
			return errors.Join(err, app.Close(ctx))
		}
	}
	return app.Run(ctx, platform.Listener(in.listener, wgrpc.NewServer("", func(g grpc.ServiceRegistrar) { shoppb.RegisterCatalogueServer(g, c) })))
}

func (c *catalogue) List(ctx context.Context, _ *shoppb.ListRequest) (*shoppb.Products, error) {
	all := &shoppb.Products{Version: c.version}
	for doc, err := range c.products.Find(ctx, db.OrderBy("name")) {
		if err != nil {
			return nil, answer(ctx, c.log, err)
		}
		name := doc.Value.Name
		if c.version == "2" { // what the new version is for
			name = strings.ToUpper(name)
		}
		all.Products = append(all.Products, &shoppb.Product{Id: doc.ID, Name: name, Cents: doc.Value.Cents})
	}
	return all, nil
}

func (c *catalogue) Quote(ctx context.Context, items *shoppb.Items) (*shoppb.Price, error) {
	price := &shoppb.Price{}
	for _, item := range items.Items {
		doc, err := c.products.Get(ctx, item.Product)
		if err != nil {
			return nil, answer(ctx, c.log, err)
		}
		price.Cents += doc.Value.Cents * item.Count
	}
	return price, nil
}

// answer is an error of the database in gRPC's words. What the database says goes
// to the log alone.
func answer(ctx context.Context, l *slog.Logger, err error) error {
	switch {
	case errors.Is(err, db.ErrNotFound):
		return status.Error(codes.NotFound, "there is no such thing")
	case errors.Is(err, db.ErrInvalid), errors.Is(err, db.ErrTooLarge): // no instance would take it
		return status.Error(codes.InvalidArgument, "that can not be a name here")
	}
	l.WarnContext(ctx, "request failed", "error", err)
	return status.Error(codes.Unavailable, "not now; try again")
}

// collection opens a table of values of one type.
func collection[T any](ctx context.Context, d db.DB, name string, opts ...db.TableOption) (*db.Collection[T], error) {
	t, err := d.Table(ctx, name, opts...)
	if err != nil {
		return nil, err
	}
	return db.NewCollection[T](t)
}
