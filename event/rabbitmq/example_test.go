package rabbitmq_test

import (
	"context"
	"fmt"
	"time"

	engine "github.com/micro/go-platform/engine/rabbitmq"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/rabbitmq"
)

func ExampleBackend() {
	s, err := event.New(rabbitmq.Backend("amqp://127.0.0.1:5672", rabbitmq.WithMaxAge(30*24*time.Hour)), event.WithNamespace("shop"), event.WithLazy()) // does not need the server yet
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close(context.Background())
	fmt.Println(s.Features().Backend)
	// Output: rabbitmq
}

func ExampleOn() {
	e, err := engine.Open("amqps://app:secret@10.0.0.1,10.0.0.2/orders")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close()
	s, err := event.New(rabbitmq.On(e), event.WithNamespace("shop"), event.WithLazy())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(s.Close(context.Background()))
	// Output: <nil>
}
