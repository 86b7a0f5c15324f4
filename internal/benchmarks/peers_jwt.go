package main

import (
	"context"
	"net/http"
	"time"

	auth0v2 "github.com/auth0/go-jwt-middleware/v2"
	validatorv2 "github.com/auth0/go-jwt-middleware/v2/validator"
	auth0v3 "github.com/auth0/go-jwt-middleware/v3"
	validatorv3 "github.com/auth0/go-jwt-middleware/v3/validator"
	"github.com/go-chi/jwtauth/v5"
	pkgzmiddleware "github.com/go-pkgz/auth/v2/middleware"
	"github.com/go-pkgz/auth/v2/provider"
	pkgztoken "github.com/go-pkgz/auth/v2/token"
	"github.com/golang-jwt/jwt/v5"
)

// These peers verify a JSON Web Token. They keep no record of it, so they cannot revoke it
// before it expires.

const (
	jwtKey   = "a key of thirty-two bytes or more"
	wrongKey = "another of thirty-two bytes or so"
	issuer   = "https://issuer.example.com/"
	audience = "benchmark"
)

func signed(user, key string) (string, error) {
	return jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"sub": user, "iss": issuer, "aud": []string{audience}, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	}).SignedString([]byte(key))
}

// overJWT returns a contender whose middleware verifies tokens from signed.
func overJWT(name string, guard func() (http.Handler, error)) contender {
	return contender{name, func(users []string) (*guarded, error) {
		h, err := guard()
		if err != nil {
			return nil, err
		}
		g := &guarded{handler: h}
		for _, user := range users {
			token, err := signed(user, jwtKey)
			if err != nil {
				return nil, err
			}
			g.good = append(g.good, request("Authorization", "Bearer "+token))
		}
		token, err := signed(users[0], wrongKey)
		g.bad = request("Authorization", "Bearer "+token)
		return g, err
	}}
}

// auth0V2 is configured as in the README.
func auth0V2() contender {
	return overJWT("auth0/go-jwt-middleware v2.3.1, HS256", func() (http.Handler, error) {
		key := func(context.Context) (any, error) { return []byte(jwtKey), nil }
		v, err := validatorv2.New(key, validatorv2.HS256, issuer, []string{audience})
		if err != nil {
			return nil, err
		}
		return auth0v2.New(v.ValidateToken).CheckJWT(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			claims, _ := r.Context().Value(auth0v2.ContextKey{}).(*validatorv2.ValidatedClaims)
			found(w, claims.RegisteredClaims.Subject)
		})), nil
	})
}

// auth0V3 is configured as in the README.
func auth0V3() contender {
	return overJWT("auth0/go-jwt-middleware v3.1.0, HS256", func() (http.Handler, error) {
		key := func(context.Context) (any, error) { return []byte(jwtKey), nil }
		v, err := validatorv3.New(validatorv3.WithKeyFunc(key), validatorv3.WithAlgorithm(validatorv3.HS256),
			validatorv3.WithIssuer(issuer), validatorv3.WithAudience(audience))
		if err != nil {
			return nil, err
		}
		m, err := auth0v3.New(auth0v3.WithValidator(v))
		if err != nil {
			return nil, err
		}
		return m.CheckJWT(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			claims, err := auth0v3.GetClaims[*validatorv3.ValidatedClaims](r.Context())
			if err != nil {
				panic(err)
			}
			found(w, claims.RegisteredClaims.Subject)
		})), nil
	})
}

// chiJWT is configured as in the README: a verifier, then an authenticator.
func chiJWT() contender {
	return overJWT("go-chi/jwtauth v5.3.3, HS256", func() (http.Handler, error) {
		ja := jwtauth.New("HS256", []byte(jwtKey), nil)
		h := jwtauth.Authenticator(ja)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, claims, err := jwtauth.FromContext(r.Context())
			if err != nil {
				panic(err)
			}
			user, _ := claims["sub"].(string)
			found(w, user)
		}))
		return jwtauth.Verifier(ja)(h), nil
	})
}

// pkgz has its own token format, in its own header.
func pkgz() contender {
	return contender{"go-pkgz/auth v2.2.0, HS256", func(users []string) (*guarded, error) {
		good, bad := pkgzService(jwtKey), pkgzService(wrongKey)
		a := pkgzmiddleware.Authenticator{
			L: quiet{}, JWTService: good,
			Providers: []provider.Service{provider.NewService(provider.DirectHandler{ProviderName: "local"})},
		}
		g := &guarded{handler: a.Auth(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			found(w, pkgztoken.MustGetUserInfo(r).ID)
		}))}
		for _, user := range users {
			token, err := pkgzToken(good, user)
			if err != nil {
				return nil, err
			}
			g.good = append(g.good, request("X-Jwt", token))
		}
		token, err := pkgzToken(bad, users[0])
		g.bad = request("X-Jwt", token)
		return g, err
	}}
}

type quiet struct{}

func (quiet) Logf(string, ...any) {}

func pkgzService(key string) *pkgztoken.Service {
	return pkgztoken.NewService(pkgztoken.Opts{
		SecretReader:  pkgztoken.SecretFunc(func(string) (string, error) { return key, nil }),
		TokenDuration: time.Hour, CookieDuration: time.Hour, DisableXSRF: true,
	})
}

func pkgzToken(s *pkgztoken.Service, user string) (string, error) {
	claims := pkgztoken.Claims{User: &pkgztoken.User{ID: user, Name: user}, AuthProvider: &pkgztoken.AuthProvider{Name: "local"}}
	claims.Audience = jwt.ClaimStrings{audience}
	claims.ExpiresAt = jwt.NewNumericDate(time.Now().Add(time.Hour))
	return s.Token(claims)
}
