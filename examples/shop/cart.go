package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/micro/go-platform"
	"github.com/micro/go-platform/kv"
)

// cart keeps what shoppers have picked, for a day, in a key-value store.
type cart struct{ store kv.KV }

// What one cart holds at the most: strangers fill it.
const (
	maxProducts = 100
	maxCount    = 100 // of each
)

// Cart is how many of each product.
type Cart map[string]int64

func runCart(ctx context.Context, s *shop, in instance) error {
	app, err := s.app(ctx, in)
	if err != nil {
		return err
	}
	c, l := &cart{app.KV()}, app.Logger("http")
	mux := http.NewServeMux()
	mux.HandleFunc("GET /carts/{user}", handle(l, c.get))
	mux.HandleFunc("PUT /carts/{user}/{product}", handle(l, c.put))
	mux.HandleFunc("DELETE /carts/{user}", handle(l, c.empty))
	return app.Run(ctx, platform.Listener(in.listener, platform.HTTP("", mux)))
}

func (c *cart) get(r *http.Request) (any, error) {
	item, err := c.store.Get(r.Context(), r.PathValue("user"))
	if errors.Is(err, kv.ErrNotFound) {
		return Cart{}, nil
	}
	if err != nil {
		return nil, err
	}
	return json.RawMessage(item.Value), nil
}

// put sets how many of a product there are, so that it may be sent twice.
func (c *cart) put(r *http.Request) (any, error) {
	var count int64
	if err := decode(r, &count); err != nil || count < 0 || count > maxCount {
		return nil, bad("count: want a number from 0 to 100")
	}
	item, err := kv.Update(r.Context(), c.store, r.PathValue("user"), func(item kv.Item, ok bool) ([]byte, error) {
		cart := Cart{}
		if ok {
			if err := json.Unmarshal(item.Value, &cart); err != nil {
				return nil, err
			}
		}
		cart[r.PathValue("product")] = count
		if count == 0 {
			delete(cart, r.PathValue("product"))
		}
		if len(cart) > maxProducts {
			return nil, bad("the cart is full")
		}
		return json.Marshal(cart)
	}, kv.TTL(24*time.Hour))
	return json.RawMessage(item.Value), err
}

func (c *cart) empty(r *http.Request) (any, error) {
	return Cart{}, c.store.Delete(r.Context(), r.PathValue("user"))
}
