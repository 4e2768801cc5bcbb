package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/micro/go-platform/discovery"
)

// cluster is the instances that run in this process.
type cluster struct {
	s       *shop
	watch   discovery.Discovery
	running map[string]*running
}

type running struct {
	instance
	network *faulty
	stop    context.CancelFunc
	done    chan error
}

// begin starts all instances, each with a listener of its own.
func (s *shop) begin(ctx context.Context) (*cluster, error) {
	watch, err := discovery.New(s.backends.discovery...)
	if err != nil {
		return nil, err
	}
	c := &cluster{s, watch, map[string]*running{}}
	for _, in := range []instance{
		{service: "catalogue", id: "catalogue-1", version: "1"}, {service: "catalogue", id: "catalogue-2", version: "1"}, {service: "catalogue", id: "catalogue-3", version: "2"},
		{service: "cart", id: "cart-1"}, {service: "cart", id: "cart-2"},
		{service: "payment", id: "payment-1"}, {service: "payment", id: "payment-2"},
		{service: "orders", id: "orders-1"}, {service: "orders", id: "orders-2"},
		{service: "frontend", id: "frontend-1"},
	} {
		if err := c.start(ctx, in); err != nil {
			return c, errors.Join(err, c.end())
		}
	}
	return c, nil
}

// start starts one instance and returns when it is registered.
func (c *cluster) start(ctx context.Context, in instance) error {
	addr := "127.0.0.1:0"
	if in.service == "frontend" {
		addr = c.s.addr
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	r := &running{instance: in, network: newFaulty(l), done: make(chan error, 1)}
	r.listener = r.network
	if in.service == "frontend" {
		r.ops, err = net.Listen("tcp", c.s.ops)
		if err != nil {
			return errors.Join(err, l.Close())
		}
	}
	own, stop := context.WithCancel(context.WithoutCancel(ctx)) // it is stopped in order, by end
	r.stop = stop
	c.running[in.id] = r
	go func() { r.done <- services[in.service](own, c.s, r.instance) }()
	for deadline := time.Now().Add(time.Minute); ; {
		known, err := c.watch.Get(ctx, in.service)
		for _, one := range known.Instances {
			if one.ID == in.id {
				return nil
			}
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s is not registered after a minute: %w", in.id, errors.Join(err, errors.New("gave up")))
		}
		select {
		case err := <-r.done:
			r.done <- err
			return fmt.Errorf("%s: %w", in.id, err)
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// remove stops an instance and waits for it.
func (c *cluster) remove(id string) error {
	r := c.running[id]
	delete(c.running, id)
	r.stop()
	if err := <-r.done; err != nil {
		return fmt.Errorf("%s: %w", id, err)
	}
	return nil
}

// end stops all instances at the same time.
func (c *cluster) end() error {
	var errs []error
	for _, r := range c.running {
		r.stop()
	}
	for id := range c.running {
		errs = append(errs, c.remove(id))
	}
	return errors.Join(append(errs, c.watch.Close())...)
}
