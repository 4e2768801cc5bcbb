package issuer_test

import (
	"testing"

	"github.com/micro/go-platform/auth/issuer"
	"github.com/micro/go-platform/auth/issuer/issuertest"
)

func TestMemoryStore(t *testing.T) {
	issuertest.Run(t, func(*testing.T) issuer.Store { return issuer.Memory() })
}
