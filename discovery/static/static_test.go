package static_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/static"
	"github.com/micro/go-platform/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

func ExampleBackend() {
	d, err := discovery.New(static.Backend(static.Addresses("greeter", "10.0.0.1:80", "10.0.0.2:80")...))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer d.Close()
	s, err := d.Get(context.Background(), "greeter")
	for _, in := range s.Instances {
		fmt.Println(in.Address, in.Status)
	}
	fmt.Println(s.State, err)
	// Output:
	// 10.0.0.1:80 up
	// 10.0.0.2:80 up
	// live <nil>
}

func ExampleAddresses() {
	for _, in := range static.Addresses("greeter", "10.0.0.1:80") {
		fmt.Println(in.Service, in.ID, in.Address)
	}
	// Output: greeter 10.0.0.1:80 10.0.0.1:80
}

func TestRegisterIsUnsupportedAndServicesAreListed(t *testing.T) {
	all := append(static.Addresses("b", "h:1"), static.Addresses("a", "h:1", "h:2")...)
	// A namespace, as a program has it that also runs on a real registry.
	d, err := discovery.New(static.Backend(all...), discovery.WithNamespace("shop"))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := d.Register(t.Context(), all[0]); !errors.Is(err, discovery.ErrUnsupported) {
		t.Errorf("register: %v, want ErrUnsupported", err)
	}
	if s, err := d.Get(t.Context(), "a", discovery.MaxStale(0)); err != nil || len(s.Instances) != 2 {
		t.Errorf("get: %v, %v, want two", s.Instances, err)
	}
	if s, err := d.Get(t.Context(), "c"); err != nil || len(s.Instances) != 0 {
		t.Errorf("get of another: %v, %v, want none", s.Instances, err)
	}
}

func TestInvalidInstancesFailNew(t *testing.T) {
	for _, c := range []struct {
		all  []discovery.Instance
		want string // in the error; "": none
	}{
		{static.Addresses("", "h:1"), "empty service"},
		{static.Addresses("s", "h"), "address"},
		{static.Addresses("s", "h:1", "h:1"), "s/h:1 is there twice"},
		{static.Addresses("s", "h:1", "h:2"), ""},
		{append(static.Addresses("s", "h:1"), static.Addresses("other", "h:1")...), ""},
	} {
		d, err := discovery.New(static.Backend(c.all...))
		if err == nil {
			d.Close()
		}
		if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, discovery.ErrInvalid) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%v: %v, want ErrInvalid with %q", c.all, err, c.want)
		}
	}
}
