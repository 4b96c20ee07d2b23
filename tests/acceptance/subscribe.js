// The subscribe step of a browser whose push service is the test's; all else is real.
const SUBSCRIPTION = {};
const subscribed = () => sessionStorage.getItem("subscribed");

function current() {
  const unsubscribe = async () => {
    sessionStorage.removeItem("subscribed");
    return true;
  };
  return subscribed() ? { ...SUBSCRIPTION, unsubscribe } : null;
}

if (window.PushManager) {
  PushManager.prototype.getSubscription = async () => current();
  PushManager.prototype.subscribe = async ({ applicationServerKey }) => {
    sessionStorage.setItem("subscribed", applicationServerKey);
    return current();
  };
}
