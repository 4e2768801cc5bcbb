package auth

// What package auth/driver has under the same names.
type (
	Source        = source
	Revoker       = revoker
	Prover        = prover
	NonceRequirer = nonceRequirer
)
