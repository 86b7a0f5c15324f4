package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"connectrpc.com/authn"
	mcp "github.com/modelcontextprotocol/go-sdk/auth"
	guardian "github.com/shaj13/go-guardian/v2/auth"
	"github.com/shaj13/go-guardian/v2/auth/strategies/token"
	"github.com/shaj13/libcache"
	_ "github.com/shaj13/libcache/fifo"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/request/bearertoken"
	"k8s.io/apiserver/pkg/authentication/request/union"
	"k8s.io/apiserver/pkg/authentication/request/websocket"
	"k8s.io/apiserver/pkg/authentication/token/cache"
	k8suser "k8s.io/apiserver/pkg/authentication/user"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"
)

// These peers look a token up, in the table that the baseline uses.

// overTable returns a contender whose middleware uses the table.
func overTable(name string, guard func(*tokenTable) (http.Handler, error)) contender {
	return contender{name, func(users []string) (*guarded, error) {
		h, err := guard(newTokenTable(users, tokens()))
		return newGuarded("Bearer", tokens(), h), err
	}}
}

// connect is configured as in the package's example.
func connect() contender {
	return overTable("connectrpc.com/authn v0.2.0", func(table *tokenTable) (http.Handler, error) {
		middleware := authn.NewMiddleware(func(_ context.Context, r *http.Request) (any, error) {
			token, ok := authn.BearerToken(r)
			if !ok {
				return nil, authn.Errorf("invalid authorization")
			}
			if r := table.find(token); r != nil {
				return r.user, nil
			}
			return nil, authn.Errorf("invalid token")
		})
		return middleware.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			user, _ := authn.GetInfo(r.Context()).(string)
			found(w, user)
		})), nil
	})
}

// goGuardian uses the token strategy with a cache of the table, with default settings. By
// default it caches plaintext tokens, does not hash them, and does not use the table again
// until the entry expires: revoked tokens remain valid until then.
func goGuardian() contender {
	return overTable("shaj13/go-guardian v2.11.6", func(table *tokenTable) (http.Handler, error) {
		entries := libcache.FIFO.New(0)
		entries.SetTTL(5 * time.Minute)
		strategy := token.New(func(_ context.Context, _ *http.Request, token string) (guardian.Info, time.Time, error) {
			if r := table.find(token); r != nil {
				return guardian.NewDefaultUser(r.user, r.user, nil, nil), r.expires, nil
			}
			return nil, time.Time{}, errors.New("invalid token")
		}, entries)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			user, err := strategy.Authenticate(r.Context(), r)
			if err != nil {
				http.Error(w, http.StatusText(http.StatusUnauthorized), http.StatusUnauthorized)
				return
			}
			r = guardian.RequestWithUser(user, r)
			found(w, guardian.User(r).GetID())
		}), nil
	})
}

// mcpSDK uses RequireBearerToken of the Model Context Protocol's SDK.
func mcpSDK() contender {
	return overTable("modelcontextprotocol/go-sdk v1.8.0", func(table *tokenTable) (http.Handler, error) {
		verify := func(_ context.Context, token string, _ *http.Request) (*mcp.TokenInfo, error) {
			if r := table.find(token); r != nil {
				return &mcp.TokenInfo{UserID: r.user, Expiration: r.expires}, nil
			}
			return nil, mcp.ErrInvalidToken
		}
		return mcp.RequireBearerToken(verify, nil)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			found(w, mcp.TokenInfoFromContext(r.Context()).UserID)
		})), nil
	})
}

// apiserver uses the authentication of the Kubernetes API: a union of authenticators for the
// header and the WebSocket protocol, over a cache of the table whose entries are valid for
// an hour.
func apiserver() contender {
	return overTable("k8s.io/apiserver v0.37.2", func(table *tokenTable) (http.Handler, error) {
		lookup := authenticator.TokenFunc(func(_ context.Context, token string) (*authenticator.Response, bool, error) {
			r := table.find(token)
			if r == nil {
				return nil, false, nil
			}
			return &authenticator.Response{User: &k8suser.DefaultInfo{Name: r.user}}, true, nil
		})
		tokens := cache.New(lookup, false, time.Hour, time.Minute)
		requests := union.New(bearertoken.New(tokens), websocket.NewProtocolAuthenticator(tokens))
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			header := r.Header["Authorization"]
			response, ok, err := requests.AuthenticateRequest(r)
			r.Header["Authorization"] = header // the authenticator removes it; the next round needs it
			if err != nil || !ok {
				http.Error(w, http.StatusText(http.StatusUnauthorized), http.StatusUnauthorized)
				return
			}
			r = r.WithContext(apirequest.WithUser(r.Context(), response.User))
			user, _ := apirequest.UserFrom(r.Context())
			found(w, user.GetName())
		}), nil
	})
}
