# A model server for the tests on a real node.
ARG BASE
FROM $BASE
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends python3 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
COPY model.py replica_process.py /model/
USER 65532:65532
EXPOSE 5001
ENTRYPOINT ["python3", "/model/model.py"]
