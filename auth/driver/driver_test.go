package driver_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/micro/go-platform/auth"
	authdriver "github.com/micro/go-platform/auth/driver"
	"github.com/micro/go-platform/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestWhatNewReturnsHasTheAbilitiesOfAnAuth(t *testing.T) {
	a, err := auth.New(auth.WithService("orders"))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	nonce, ok := a.(authdriver.NonceRequirer)
	if !ok || nonce.ProofNonce() != "" {
		t.Errorf("NonceRequirer: %v", ok)
	}
	prover, ok := a.(authdriver.Prover)
	if !ok {
		t.Fatal("no Prover")
	}
	if _, err := prover.Prove("GET", "http://orders/", "token", ""); !errors.Is(err, auth.ErrUnsupported) {
		t.Errorf("Prove without a key: %v, want ErrUnsupported", err)
	}
}

func ExampleCheckFullMethod() {
	fmt.Println(authdriver.CheckFullMethod("/grpc.health.v1.Health/Check"))
	fmt.Println(errors.Is(authdriver.CheckFullMethod("/a/../b"), auth.ErrPath))
	// Output:
	// <nil>
	// true
}
