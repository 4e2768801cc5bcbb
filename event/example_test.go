package event_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/micro/go-platform/event"
)

func ExampleNew() {
	s, err := event.New(event.WithSource("shop"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close(context.Background())
	fmt.Println(s.Features().Backend)
	// Output: memory
}

func ExampleStream_publish() {
	ctx := context.Background()
	s, _ := event.New(event.WithSource("shop"))
	defer s.Close(ctx)

	err := s.Publish(ctx, &event.Record{Type: "order.created", Subject: "order/42", Data: []byte(`{"total":7}`)})
	fmt.Println(err)
	for r, err := range s.Query(ctx) {
		fmt.Println(r.Type, r.Source, r.Subject, string(r.Data), err)
	}
	// Output:
	// <nil>
	// order.created shop order/42 {"total":7} <nil>
}

func ExampleStream_subscribe() {
	ctx := context.Background()
	s, _ := event.New()
	defer s.Close(ctx)

	done := make(chan struct{})
	s.Subscribe(ctx, func(ctx context.Context, r *event.Record) error {
		fmt.Println("billing:", r.Subject)
		close(done)
		return nil
	}, event.Group("billing"), event.Types("order.*"))

	s.Publish(ctx, &event.Record{Type: "user.created", Subject: "user/7"}, &event.Record{Type: "order.created", Subject: "order/42"})
	<-done
	// Output: billing: order/42
}

func ExampleStream_query() {
	ctx := context.Background()
	s, _ := event.New()
	defer s.Close(ctx)
	s.Publish(ctx, &event.Record{ID: "1", Type: "order.created"}, &event.Record{ID: "2", Type: "order.paid", RootID: "1"}, &event.Record{ID: "3", Type: "user.created"})

	for r := range s.Query(ctx, event.Root("1"), event.Reverse()) {
		fmt.Println(r.ID, r.Type)
	}
	// Output:
	// 2 order.paid
	// 1 order.created
}

func ExampleStream_aggregate() {
	ctx := context.Background()
	s, _ := event.New()
	defer s.Close(ctx)
	at := func(h, m int) time.Time { return time.Date(2030, 1, 1, h, m, 0, 0, time.UTC) }
	s.Publish(ctx, &event.Record{Type: "a", Time: at(9, 0)}, &event.Record{Type: "a", Time: at(9, 59)}, &event.Record{Type: "b", Time: at(10, 0)})

	buckets, _ := s.Aggregate(ctx, event.Aggregation{Per: []event.Dimension{event.PerType}, Every: time.Hour})
	for _, b := range buckets {
		fmt.Println(b.Start.Format("15:04"), b.Type, b.Count)
	}
	// Output:
	// 09:00 a 2
	// 10:00 b 1
}

func ExampleOriginal() {
	ctx := context.Background()
	s, _ := event.New()
	defer s.Close(ctx)
	s.Subscribe(ctx, func(context.Context, *event.Record) error {
		return event.Terminate(errors.New("no such customer"))
	}, event.Group("billing"))
	done := make(chan struct{})
	s.Subscribe(ctx, func(_ context.Context, r *event.Record) error {
		o, _ := event.Original(r)
		fmt.Println(r.Type, r.Metadata[event.DeadError], "-", o.ID, o.Type)
		close(done)
		return nil
	}, event.Types("dead.*"))

	s.Publish(ctx, &event.Record{ID: "42", Type: "order.created"})
	<-done
	// Output: dead.billing no such customer - 42 order.created
}

func ExampleContextWithCause() {
	ctx := context.Background()
	s, _ := event.New()
	defer s.Close(ctx)
	ctx = event.ContextWithCause(ctx, event.Cause{RootID: "request-1"})
	s.Publish(ctx, &event.Record{Type: "order.created"})
	for r := range s.Query(ctx) {
		fmt.Println(r.RootID)
	}
	// Output: request-1
}

func ExampleRetry() {
	ctx := context.Background()
	s, _ := event.New()
	defer s.Close(ctx)
	done := make(chan struct{})
	s.Subscribe(ctx, func(ctx context.Context, r *event.Record) error {
		d, _ := event.DeliveryFromContext(ctx)
		fmt.Println("attempt", d.Attempt)
		if d.Attempt == 1 {
			return event.Retry(errors.New("busy"), 10*time.Millisecond)
		}
		close(done)
		return nil
	}, event.Group("mail"))
	s.Publish(ctx, &event.Record{Type: "user.created"})
	<-done
	// Output:
	// attempt 1
	// attempt 2
}

func ExampleStream_subscribeBatch() {
	ctx := context.Background()
	s, _ := event.New()
	defer s.Close(ctx)

	done := make(chan struct{})
	s.SubscribeBatch(ctx, func(ctx context.Context, records []*event.Record) error {
		failed := event.BatchErrors{}
		for i, r := range records { // insert them all at once, for instance
			if r.Subject == "order/2" && len(records) > 1 {
				failed[i] = event.Retry(errors.New("busy"), time.Millisecond)
				continue
			}
			fmt.Println(r.Subject)
			if r.Subject == "order/2" {
				close(done)
			}
		}
		return failed
	}, event.Group("billing"), event.Batch(3), event.BatchWait(100*time.Millisecond))

	s.Publish(ctx, &event.Record{Type: "order", Subject: "order/1"}, &event.Record{Type: "order", Subject: "order/2"}, &event.Record{Type: "order", Subject: "order/3"})
	<-done
	// Output:
	// order/1
	// order/3
	// order/2
}

func ExampleStream_publishAt() {
	ctx := context.Background()
	s, _ := event.New()
	defer s.Close(ctx)

	done := make(chan struct{})
	s.Subscribe(ctx, func(ctx context.Context, r *event.Record) error {
		fmt.Println(r.Type, r.Subject)
		close(done)
		return nil
	}, event.Group("mail"))

	soon := time.Now().Add(20 * time.Millisecond)
	s.PublishAt(ctx, soon, &event.Record{ID: "reminder/42", Type: "reminder", Subject: "order/42"})
	s.PublishAt(ctx, soon, &event.Record{ID: "reminder/43", Type: "reminder", Subject: "order/43"})
	fmt.Println(s.Cancel(ctx, "reminder/43")) // order 43 was paid
	<-done
	// Output:
	// <nil>
	// reminder order/42
}

func ExampleStream_schedule() {
	ctx := context.Background()
	s, _ := event.New()
	defer s.Close(ctx)

	// Each process calls it when it begins; one of them publishes each run.
	err := s.Schedule(ctx, "invoices", event.Every(24*time.Hour), &event.Record{Type: "invoices.due"})
	fmt.Println(err)
	for e := range s.Scheduled(ctx) {
		fmt.Println(e.ID, e.Recurrence, e.Record.Type)
	}
	// Output:
	// <nil>
	// invoices every 24h0m0s invoices.due
}

func ExampleCron() {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		fmt.Println(err)
		return
	}
	friday := time.Date(2026, 5, 1, 12, 0, 0, 0, berlin)
	fmt.Println(event.Cron("0 9 * * mon-fri", berlin).Next(friday))
	// Output: 2026-05-04 09:00:00 +0200 CEST
}

func ExampleEvery() {
	fmt.Println(event.Every(90 * time.Minute))
	// Output: every 1h30m0s
}

func ExampleReplier() {
	ctx := context.Background()
	s, _ := event.New()
	defer s.Close(ctx)

	s.Subscribe(ctx, event.Replier(func(ctx context.Context, r *event.Record) (*event.Record, error) {
		if r.Subject != "order/42" {
			return nil, errors.New("no such order")
		}
		return &event.Record{Data: []byte("7.50")}, nil
	}), event.Group("prices"), event.Types("price.asked"))

	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	r, err := s.Request(ctx, &event.Record{Type: "price.asked", Subject: "order/42"})
	fmt.Println(string(r.Data), err)
	_, err = s.Request(ctx, &event.Record{Type: "price.asked", Subject: "order/43"})
	fmt.Println(err)
	// Output:
	// 7.50 <nil>
	// reply: no such order
}

func ExamplePartitions() {
	ctx := context.Background()
	s, _ := event.New()
	defer s.Close(ctx)

	done := make(chan string, 1)
	sub, err := s.Subscribe(ctx, func(ctx context.Context, r *event.Record) error {
		done <- r.Subject
		return nil
	}, event.Group("billing"), event.Ordered(event.BySubject), event.Partitions(4)) // up to four members work
	if err != nil {
		fmt.Println(err)
		return
	}
	s.Publish(ctx, &event.Record{Type: "order.created", Subject: "order/42"})
	fmt.Println(<-done, sub.Group())
	// Output: order/42 billing
}
