/* Hands the token over, once and in the body of a request; the answer sets a cookie that scripts cannot read. */

const answer = document.getElementById("answer");

document.getElementById("sign-in").addEventListener("submit", async (event) => {
  event.preventDefault();
  answer.textContent = "asking...";
  const field = document.getElementById("token");
  try {
    const response = await fetch("sign-in", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ token: field.value }),
    });
    if (response.ok) {
      window.location.reload();
      return;
    }
    answer.textContent = response.status === 401 ? "This is not the token." : `Not signed in: ${await response.text()}`;
  } catch {
    answer.textContent = "The run does not answer.";
  }
  field.value = "";
  field.focus();
});
document.documentElement.dataset.ready = "true";
