package conn

import "github.com/micro/go-platform/internal/fault"

// SetAuth sets a user and a password, both of which are needed: an empty one,
// from a variable that nobody set for instance, would mean a connection without
// credentials.
func SetAuth(toUser, toPassword *string, user, password string) error {
	err := CheckAuth(user, password)
	if err != nil {
		return err
	}
	*toUser, *toPassword = user, password
	return nil
}

// CheckAuth returns an error unless there are both, a user and a password.
func CheckAuth(user, password string) error {
	switch {
	case user == "" && password == "":
		return fault.Markf(fault.Invalid, "empty user and password")
	case user == "":
		return fault.Markf(fault.Invalid, "a password without a user")
	case password == "":
		return fault.Markf(fault.Invalid, "a user without a password")
	}
	return nil
}

// SetSecret sets what is a credential by itself: a token, or the password of a
// server that knows a user without a name. Empty is an error.
func SetSecret(to *string, secret string) error {
	if secret == "" {
		return fault.Markf(fault.Invalid, "empty password or token")
	}
	*to = secret
	return nil
}

// CheckAuth returns an error if the address has a user without a password, a
// password without a user, or an @ with nothing before it. An address without an
// @ is fine.
func (a Address) CheckAuth() error {
	if !a.HasUser {
		return nil
	}
	return CheckAuth(a.User, a.Password)
}

// CheckSecret is CheckAuth for servers to which a password alone is a
// credential.
func (a Address) CheckSecret() error {
	if a.HasUser && a.Password == "" {
		return fault.Markf(fault.Invalid, "a user without a password")
	}
	return nil
}
