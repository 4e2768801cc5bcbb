package rabbitmq

import (
	"sort"
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"
)

// inbox is what the server has sent to a member and nobody has fetched, from one
// consumer after the other on one channel.
type inbox struct {
	mu     sync.Mutex
	list   []amqp.Delivery
	ended  bool          // the consumer ended, and not by cancel
	some   chan struct{} // the list grew, or ended
	moving chan struct{} // closed when the consumer's deliveries are all here
}

func newInbox() *inbox { return &inbox{some: make(chan struct{}, 1)} }

// follow moves a consumer's deliveries here until there are no more.
func (b *inbox) follow(deliveries <-chan amqp.Delivery) {
	moving := make(chan struct{})
	b.mu.Lock()
	b.moving, b.ended = moving, false
	b.mu.Unlock()
	go func() {
		defer close(moving)
		for d := range deliveries {
			b.mu.Lock()
			b.list = append(b.list, d)
			b.mu.Unlock()
			b.poke()
		}
		b.mu.Lock()
		b.ended = true
		b.mu.Unlock()
		b.poke()
	}()
}

func (b *inbox) poke() {
	select {
	case b.some <- struct{}{}:
	default:
	}
}

// take returns up to limit deliveries, and whether no others come.
func (b *inbox) take(limit int) (ds []amqp.Delivery, ended bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := min(limit, len(b.list)); n < len(b.list) {
		ds, b.list = b.list[:n:n], b.list[n:]
	} else {
		ds, b.list = b.list, nil
	}
	return ds, b.ended && len(ds) == 0
}

func (b *inbox) len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.list)
}

// since returns how many there are whose tags are not below one.
func (b *inbox) since(tag uint64) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := sort.Search(len(b.list), func(i int) bool { return b.list[i].DeliveryTag >= tag })
	return len(b.list) - i
}
