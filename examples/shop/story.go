package main

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/micro/go-platform/config/store"
)

// phase is a part of the story: what begins, for how long, and how it is undone.
type phase struct {
	name, what string
	begin, end func(ctx context.Context) error
}

func nothing(context.Context) error { return nil }

// phases are what happens while shoppers shop.
func (c *cluster) phases(l *load) []phase {
	all := []phase{{"before", "all is well", nothing, nothing}}
	add := func(name, what string, begin, end func(context.Context) error) {
		if c.s.chaos == name || c.s.chaos == "all" {
			all = append(all, phase{name, what, begin, end})
		}
	}
	add("slow", "cart-1 is slow: 100 ms for each packet that it sends",
		func(context.Context) error { c.running["cart-1"].network.slow(100 * time.Millisecond); return nil },
		func(context.Context) error { c.running["cart-1"].network.slow(0); return nil })
	add("kill", "orders-1 is dead: it refuses connections, and the registry still has it; then orders-3 takes its place",
		func(context.Context) error { c.running["orders-1"].network.kill(); return nil },
		func(ctx context.Context) error {
			// What the dead instance complains of when it is cleared away is no news.
			_ = c.remove("orders-1")
			return c.start(ctx, instance{service: "orders", id: "orders-3"})
		})
	stop := func() {}
	add("cut", "the connections of catalogue-1 and catalogue-2 are cut in turn, up to ten times a second, and no call twice",
		func(ctx context.Context) error {
			ctx, stop = context.WithCancel(ctx)
			go cutting(ctx, l.settle, c.running["catalogue-1"].network, c.running["catalogue-2"].network)
			return nil
		},
		func(context.Context) error { stop(); return nil })
	return append(all, phase{"after", "all is well again, and everything costs 10 % less: a change of the configuration", func(ctx context.Context) error {
		_, err := c.s.settings.Set(ctx, "shop", "features.discount", 10, store.Author("shop"), store.Comment("sale"))
		return err
	}, nothing})
}

// cutting cuts one network after another. A call that was cut has its answer before
// the next cut, or a slow machine would lose every attempt of it.
func cutting(ctx context.Context, settle func(), networks ...*faulty) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			networks[i%len(networks)].cut()
			settle()
		}
	}
}

// story runs everything in this process: shoppers shop while things go wrong.
func (s *shop) story(ctx context.Context, out io.Writer) (err error) {
	c, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.end()) }()
	base := "http://" + c.running["frontend-1"].listener.Addr().String()
	operators := "http://" + c.running["frontend-1"].ops.Addr().String()
	say(out, about, s.describe(), base, operators)
	l := newLoad(base, s.rate, s.most)
	defer func() { l.stop() }()
	for _, p := range c.phases(l) {
		say(out, "── %s: %s\n", p.name, p.what)
		if err := p.begin(ctx); err != nil {
			return err
		}
		l.progress(ctx, out, p.name, s.phase)
		if ctx.Err() != nil {
			say(out, "interrupted; stopping\n")
			return nil
		}
		if err := p.end(ctx); err != nil {
			return err
		}
	}
	l.stop()
	if err := c.report(ctx, out, l); err != nil || !s.stay {
		return err
	}
	say(out, "\nshoppers go on until you interrupt; the page: %s/\n", operators)
	l = newLoad(base, s.rate, s.most)
	<-ctx.Done()
	return nil
}

const about = `shop: frontend, catalogue, cart, orders and payment, ten instances in this process; %s
the shop: %[2]s/
the page for operators: %[3]s/
try, while it runs (-stay keeps it running):
  curl -H 'Accept: text/html' %[2]s/
  curl -X PUT -d 2 %[2]s/carts/ada/mug
  curl -X PUT %[2]s/orders/ada/my-first-order
  curl %[2]s/orders/ada/my-first-order
Ctrl-C ends it.

`
