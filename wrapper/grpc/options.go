package grpc

import (
	"errors"
	"strings"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
	"github.com/micro/go-platform/wrapper"
)

// Option configures the client side. A wrong one, nil among them, is an
// ErrInvalid of NewClientWith, or of each call where nothing else can say it.
type Option func(*options) error

type options struct {
	idempotent    func(method string) bool
	service       string
	drain         time.Duration
	streamTimeout time.Duration
	err           error
}

// WithIdempotent tells which methods may be processed twice. The default is
// those that say so in their definition, by the option idempotency_level
// (NO_SIDE_EFFECTS or IDEMPOTENT), as far as their generated code is linked.
func WithIdempotent(f func(method string) bool) Option {
	return func(o *options) error {
		if f == nil {
			return errors.New("nil function")
		}
		o.idempotent = f
		return nil
	}
}

// WithService names the service that is called; the default is the target of
// the connection.
func WithService(name string) Option {
	return func(o *options) error {
		if name == "" {
			return errors.New("empty name of a service")
		}
		o.service = name
		return nil
	}
}

// WithDrain sets how long a Client's calls and streams to an instance that left
// discovery may go on before its connection is closed. It is closed sooner when
// there are none. The default is 5 min.
func WithDrain(d time.Duration) Option {
	return func(o *options) error { return fronts.Positive("duration", d, &o.drain) }
}

// WithStreamTimeout bounds streams, from their opening to their end, if their
// context has no deadline. The default is no bound.
func WithStreamTimeout(d time.Duration) Option {
	return func(o *options) error { return fronts.Positive("duration", d, &o.streamTimeout) }
}

func newOptions(opts []Option) options {
	o := options{idempotent: declared, drain: 5 * time.Minute}
	o.err = fault.Wrap("wrapper/grpc", "client options", "", fault.Mark(wrapper.ErrInvalid, fronts.Apply(&o, opts)))
	return o
}

// declared reports whether the definition of a method says that it is
// idempotent.
func declared(method string) bool {
	name := strings.Replace(strings.TrimPrefix(method, "/"), "/", ".", 1)
	d, _ := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(name)) // nil if nobody knows it
	m, ok := d.(protoreflect.MethodDescriptor)
	if !ok {
		return false
	}
	o, ok := m.Options().(*descriptorpb.MethodOptions)
	return ok && o.GetIdempotencyLevel() != descriptorpb.MethodOptions_IDEMPOTENCY_UNKNOWN
}
