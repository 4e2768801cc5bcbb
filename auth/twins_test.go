package auth_test

import (
	"github.com/micro/go-platform/auth"
	authdriver "github.com/micro/go-platform/auth/driver"
)

// What the front looks for and what package auth/driver describes are the same.
var (
	_ auth.Source        = authdriver.Source(nil)
	_ auth.Revoker       = authdriver.Revoker(nil)
	_ auth.Prover        = authdriver.Prover(nil)
	_ auth.NonceRequirer = authdriver.NonceRequirer(nil)

	_ authdriver.Source        = auth.Source(nil)
	_ authdriver.Revoker       = auth.Revoker(nil)
	_ authdriver.Prover        = auth.Prover(nil)
	_ authdriver.NonceRequirer = auth.NonceRequirer(nil)
)
