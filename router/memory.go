package router

import (
	"context"
	"slices"
	"sync"
)

// Memory returns an Exchange for several routers in one process.
func Memory() Exchange {
	return &memoryExchange{reports: board[Report]{by: map[string]Report{}}, views: board[View]{by: map[string]View{}}}
}

type memoryExchange struct {
	reports board[Report]
	views   board[View]
}

func (x *memoryExchange) Publish(_ context.Context, r Report) error {
	x.reports.put(r.Service, r.Service+"\x00"+r.Client, r)
	return nil
}

func (x *memoryExchange) Reports(ctx context.Context, service string, f func(Report)) error {
	return x.reports.follow(ctx, service, f, func(r Report) string { return r.Service })
}

func (x *memoryExchange) PublishView(_ context.Context, v View) error {
	x.views.put(v.Service, v.Service, v)
	return nil
}

func (x *memoryExchange) Views(ctx context.Context, service string, f func(View)) error {
	return x.views.follow(ctx, service, f, func(v View) string { return v.Service })
}

// board shows the newest of each key to those who follow.
type board[T any] struct {
	mu        sync.Mutex
	by        map[string]T
	followers []*follower[T]
}

type follower[T any] struct {
	service string // "" is all
	f       func(T)
}

func (b *board[T]) put(service, key string, v T) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.by[key] = v
	for _, w := range b.followers {
		if w.service == "" || w.service == service {
			w.f(v)
		}
	}
}

func (b *board[T]) follow(ctx context.Context, service string, f func(T), of func(T) string) error {
	w := &follower[T]{service, f}
	b.mu.Lock()
	for _, v := range b.by {
		if service == "" || of(v) == service {
			f(v)
		}
	}
	b.followers = append(b.followers, w)
	b.mu.Unlock()
	<-ctx.Done()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.followers = slices.DeleteFunc(b.followers, func(other *follower[T]) bool { return other == w })
	return ctx.Err()
}
